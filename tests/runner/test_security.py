"""Foreign code runs only where its owner says so, and no secret is kept."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch

from campaign.engines.trackers.place import tracking_store
from campaign.errors import SetupError, SpecError
from campaign.runner.replay import replay
from campaign.sources.digits_cnn import DigitsCnnModel
from campaign.spec.load import load
from campaign.text import redacted, redacted_values

NETWORK = """
from pathlib import Path
from campaign.sources.digits_cnn import DigitsCnnModel

Path(__file__).with_name("was_run").touch()


def make():
    return DigitsCnnModel().build()
"""
SECRETS = [
    ("postgresql://ann:s3c/r@t@db.lab/mlflow", "s3c/r@t"),
    ("https://ann:hunter2hunter2@mlflow.lab/", "hunter2hunter2"),
    ("https://ghp_0123456789abcdef@github.com/a/b", "ghp_0123456789abcdef"),
    ("s3://KEY:wJalrXUtnFEMI@bucket/results", "wJalrXUtnFEMI"),
    ("abfs://c@acc.net/r?sv=2022&sig=aB%2Bc%3D", "aB%2Bc%3D"),
    ("https://b.net/r?X-Amz-Credential=AKIA123&X-Amz-Signature=ffee00", "ffee00"),
    ("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "eyJhbGciOiJIUzI1NiJ9.e30.x"),
    ("MLFLOW_TRACKING_TOKEN=tok3n123 campaign run", "tok3n123"),
    ("aws_secret_access_key = wJalrXUtnFEMI", "wJalrXUtnFEMI"),
    ('{"password": "hunter2"}', "hunter2"),
    ("  db_password: hunter2", "hunter2"),
]
HARMLESS = [
    "s3://bucket/results/part-1.parquet",
    "ssh://git@github.com/a/b",
    "http://127.0.0.1:5000",
    "gs://bucket@version",
    "tokens: 12 of 4096 were read",
    "grid.t: got 'max', allowed: numbers",
    "a key=value setting such as grid.seeds=5",
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_no_secret_is_left_in_a_text(text, secret) -> None:
    told = redacted(f"cannot reach {text}: refused")
    assert secret not in told
    assert told.startswith("cannot reach ")
    assert told.endswith("refused")
    assert redacted(told) == told


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_stay_as_they_are(text) -> None:
    assert redacted(text) == text


def test_a_spec_is_kept_without_its_passwords_and_can_be_tracked_again(campaign) -> None:
    uri = "postgresql://ann:hunter2@db.lab/mlflow"
    campaign.edit("{mlflow: false,", f"{{mlflow: false, tracking_uri: '{uri}',")
    assert campaign.run(limit=1).exit_code == 4
    files = [path for path in campaign.results.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert not [path for path in files if b"hunter2" in path.read_bytes()]
    held = json.loads((campaign.results / "spec.resolved.json").read_text())
    kept = held["output"]["tracking_uri"]
    assert kept == "postgresql://ann:***@db.lab/mlflow"
    with pytest.raises(SetupError, match="set MLFLOW_TRACKING_URI"):
        tracking_store(campaign.root, kept, {})
    assert tracking_store(campaign.root, kept, {"MLFLOW_TRACKING_URI": uri}).uri == uri
    assert redacted_values({"token": "abc", "tokens": 3}) == {"token": "***", "tokens": 3}


def test_code_of_a_spec_or_of_a_results_folder_runs_only_where_it_is_allowed(campaign) -> None:
    code, weights = campaign.root / "network.py", campaign.root / "weights.pt"
    code.write_text(NETWORK)
    state = DigitsCnnModel().state()
    torch.save({name: torch.tensor(value) for name, value in state.items()}, weights)
    how = f"weights: {weights}, architecture: '{code}:make', normalize: none"
    campaign.edit("models: digits_cnn", f"models: {{files: {{{how}}}}}")
    mark = campaign.root / "was_run"
    load(campaign.path)
    with pytest.raises(SpecError, match=r"weights runs code of .*network\.py:make.*--allow-code"):
        campaign.run(limit=1)
    assert not mark.exists()
    assert campaign.run(limit=1, allow_code=True).exit_code == 4
    assert mark.exists()
    mark.unlink()
    trial = next(iter(_ids(campaign.results)))
    with pytest.raises(SpecError, match="--allow-code"):
        replay(campaign.results, trial)
    assert not mark.exists()
    assert replay(campaign.results, trial, allow_code=True).differing == ()


def test_a_trial_of_our_own_network_is_replayed_beside_one_that_runs_code(campaign) -> None:
    code = campaign.root / "network.py"
    code.write_text(NETWORK)
    assert campaign.run(limit=1).exit_code == 4
    held = campaign.results / "spec.resolved.json"
    spec = json.loads(held.read_text())
    (ours,) = spec["models"]
    files = {"weights": str(code), "architecture": f"{code}:make", "normalize": "none"}
    held.write_text(json.dumps({**spec, "models": [ours, {"files": files}]}))
    trial = next(iter(_ids(campaign.results)))
    assert replay(campaign.results, trial).differing == ()
    assert not (campaign.root / "was_run").exists()


def test_a_checkpoint_that_would_run_code_is_refused(campaign) -> None:
    weights, mark = campaign.root / "weights.pt", campaign.root / "was_run"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (mark,)

    torch.save({"weight": Trap()}, weights, pickle_module=pickle)
    how = f"weights: {weights}, architecture: digits_cnn, normalize: none"
    campaign.edit("models: digits_cnn", f"models: {{files: {{{how}}}}}")
    with pytest.raises(SetupError, match="no state dict of tensors alone"):
        campaign.run(limit=1)
    assert not mark.exists()


def _ids(folder: Path) -> list[str]:
    from campaign.engines.stores.reader import read_results

    return [str(value) for value in read_results(folder)["trial_id"].to_pylist()]

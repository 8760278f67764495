"""Trained networks at a URL: one campaign's training is another's, and what comes back is whole."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest
from typer.testing import CliRunner

from campaign.cli.app import app
from campaign.engines.stores.remote import RemoteFolder
from campaign.errors import SetupError, SpecError
from campaign.runner.checkpoints import Checkpoints
from campaign.training import FitJob
from campaign.training.checkpoint import result_path, save
from campaign.training.job import Trained
from tests.runner.conftest import Campaign, Ear
from tests.training.conftest import make_job

SPEC = """\
name: small
models: digits_cnn
dataset: digits
grid: {dtype: fp32, method: retrained, ber: [1.0e-3], seeds: 1}
training:
  dataset: {digits: {split: train}}
  recipe: {epochs: 1, batch_size: 64, optimizer: {sgd: {lr: 0.01}}, validation_images: 100}
evaluation: {subset: 100}
engine: {executor: inline}
output: {mlflow: false, report: false}
"""


@pytest.fixture
def job() -> FitJob:
    return make_job("retrained")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoints:
    monkeypatch.setenv("CAMPAIGN_CACHE", str(tmp_path / "cache"))
    return Checkpoints(f"memory://{uuid.uuid4().hex}/trained")


def put(checkpoints: Checkpoints, job: FitJob, epochs: int) -> Trained:
    """What a training on the bench would leave, and what is kept then."""
    save(checkpoints.bench, job, {}, Trained({}, ({},), epochs, "finished", (), ()))
    return checkpoints.keep(job)


def elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From here on this is another machine."""
    monkeypatch.setenv("CAMPAIGN_CACHE", str(folder))


def test_of_two_trainings_the_first_that_is_kept_serves_both(
    there: Checkpoints, job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert there.finished(job) is None
    assert put(there, job, 1).epochs == 1
    elsewhere(monkeypatch, tmp_path / "other")
    assert put(there, job, 2).epochs == 1
    found = there.finished(job)
    assert found is not None
    assert found.epochs == 1
    assert not list(there.bench.iterdir())


def test_in_a_folder_too_the_first_of_two_trainings_serves_both(
    job: FitJob, tmp_path: Path
) -> None:
    there = Checkpoints(tmp_path / "shared")
    assert [put(there, job, epochs).epochs for epochs in (1, 2)] == [1, 1]
    assert there.finished(job) == put(there, job, 3)


def test_what_another_driver_of_this_machine_has_brought_to_the_url_is_taken(
    there: Checkpoints, job: FitJob
) -> None:
    put(there, job, 1)
    assert there.keep(job).epochs == 1


def test_the_state_of_a_training_is_that_of_the_url_and_of_this_machine(
    there: Checkpoints, job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (there.names(), there.state(job, frozenset())) == (frozenset(), "to do")
    there.bench.mkdir(parents=True)
    (there.bench / f"{job.name}.running").write_bytes(b"")
    assert there.state(job, there.names()) == "begun"
    put(there, job, 1)
    elsewhere(monkeypatch, tmp_path / "other")
    assert there.state(job, there.names()) == "done"


def test_what_is_damaged_or_of_another_training_is_refused_with_its_url(
    there: Checkpoints, job: FitJob
) -> None:
    remote, other = RemoteFolder(there.label), make_job("retrained", seed=1)
    name, taken = f"{job.name}.safetensors", f"{other.name}.safetensors"
    put(there, other, 1)
    remote.write(name, remote.read([taken])[taken])
    with pytest.raises(SetupError, match=f"{there.label}/{name}: of the training .*delete it"):
        there.finished(job)
    remote.write(name, remote.read([taken])[taken][:-1] + b"x" * 9)
    with pytest.raises(SetupError, match=f"{there.label}/{name}: no trained network"):
        there.finished(job)
    assert not result_path(there.folder, job).exists()


@pytest.fixture
def trained(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    campaign.path.write_text(SPEC, "utf-8")
    elsewhere(monkeypatch, campaign.root / "cache")
    return campaign


def trained_here(ear: Ear) -> bool:
    return any("epoch 1 of 1" in note for note in ear.notes)


def planned(campaign: Campaign, *settings: str) -> str:
    words = ["plan", str(campaign.path), "--results", str(campaign.results)]
    words += [word for each in settings for word in ("--set", each)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return str(result.output)


@pytest.mark.parametrize(
    "kind", ["memory", *(pytest.param(each, marks=pytest.mark.slow) for each in ("s3", "file"))]
)
def test_a_training_of_another_campaign_on_another_machine_is_found(
    trained: Campaign, kind: str, request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = {"file": f"file://{trained.root}", "memory": "memory:/"}
    root = request.getfixturevalue("s3") if kind == "s3" else roots[kind]
    cache = f"training.cache={root}/{uuid.uuid4().hex}"
    first, second = Ear(), Ear()
    assert "0 of them done" in planned(trained, cache)
    assert trained.run(cache, ear=first).exit_code == 0
    assert trained_here(first)
    elsewhere(monkeypatch, trained.root / "another machine")
    trained.results = trained.root / "results" / "another campaign"
    assert "1 of them done" in planned(trained, cache)
    assert trained.run(cache, ear=second).exit_code == 0
    assert not trained_here(second)
    rows = [list_of(trained.root / "results" / name) for name in ("small", "another campaign")]
    assert rows[0] == rows[1]


def list_of(folder: Path) -> list[tuple[Any, ...]]:
    from campaign.engines.stores.reader import read_results

    rows = read_results(folder).to_pylist()
    return sorted((row["trial_id"], row["n_correct"]) for row in rows)


def test_networks_of_results_at_a_url_are_kept_there(
    trained: Campaign, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = trained.results = f"memory://{uuid.uuid4().hex}/small"  # type: ignore[assignment]
    assert trained.run(limit=1).ran == 1
    (kept,) = fsspec.filesystem("memory").ls(f"{url}/checkpoints", detail=False)
    assert kept.endswith(".safetensors")
    elsewhere(monkeypatch, trained.root / "another machine")
    assert trained.run(ear=ear).exit_code == 0
    assert not trained_here(ear)
    trial = list_of(here_of(url))[0][0]
    again = CliRunner().invoke(app, ["replay", trial, "--results", str(url)])
    assert again.exit_code == 0, again.output


def here_of(url: object) -> Path:
    from campaign.runner.place import here

    return here(str(url))


@pytest.mark.parametrize("command", ["plan", "train", "run"])
@pytest.mark.parametrize(
    ("cache", "why"), [("nothing://x/y", "allowed: s3, gs"), ("s3://me:secret@x/y", "no user or")]
)
def test_a_cache_that_cannot_be_one_is_refused_in_one_line(
    trained: Campaign, command: str, cache: str, why: str
) -> None:
    words = [command, str(trained.path), "--results", str(trained.results)]
    result = CliRunner().invoke(app, [*words, "--set", f"training.cache={cache}"])
    assert isinstance(result.exception, SpecError)
    assert result.exception.exit_code == 2
    (line,) = str(result.exception).splitlines()
    assert line.startswith("training.cache: ")
    assert why in line
    assert "secret" not in line

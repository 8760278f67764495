"""The committed reference runs are the shipped specs, whole, and give the same rows again."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from campaign.engines.stores.reader import read_results
from campaign.runner.plan import plan_campaign
from campaign.runner.replay import replay
from campaign.spec.load import load

ROOT = Path(__file__).parents[2]
RUNS = sorted(path.parent for path in (ROOT / "results" / "reference").glob("*/trials"))
MOST_BYTES = 3 * 2**20
PLACES = (b"/tmp/", b"/work/", b"/home/", b"/root/")
FROM_PACKAGES = ("digits_pareto", "digits_sensitivity", "digits_toy")
"""Runs of images and networks that need no download."""


@pytest.mark.parametrize("run", RUNS, ids=lambda path: path.name)
def test_a_reference_run_has_every_trial_of_its_spec_and_no_other(run: Path) -> None:
    spec = ROOT / "specs" / f"{run.name}.yaml"
    assert (run / "spec.yaml").read_text("utf-8") == spec.read_text("utf-8")
    rows, loaded = read_results(run), load(spec, environment={}).spec
    planned = plan_campaign(loaded, {}, 0).trials
    assert set(rows["status"].to_pylist()) == {"ok"}
    assert len(set(rows["trial_id"].to_pylist())) == len(rows)
    if loaded.precision is None:
        assert len(rows) == planned
    else:
        assert len(rows) <= planned  # at most so many, and fewer where the cell is precise


@pytest.mark.parametrize("run", RUNS, ids=lambda path: path.name)
def test_a_reference_run_is_small_and_names_no_folder_of_the_machine_it_ran_on(run: Path) -> None:
    files = [path for path in run.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    for path in files:
        text = path.suffix in {".json", ".jsonl", ".yaml", ".csv", ".md", ".tex", ".svg"}
        found = [place for place in PLACES if text and place in path.read_bytes()]
        assert not found, f"{path}: {found}"


def some_trials(rows: pa.Table) -> list[str]:
    """One trial under faults of each number format, the one of the least id."""
    struck = rows.filter(pc.greater(rows["ber"], 0))
    least = struck.group_by("dtype").aggregate([("trial_id", "min")])
    return sorted(least["trial_id_min"].to_pylist())


@pytest.mark.parametrize("name", FROM_PACKAGES)
def test_rows_of_the_digits_are_computed_again(name: str) -> None:
    run = ROOT / "results" / "reference" / name
    for trial_id in some_trials(read_results(run)):
        assert replay(run, trial_id).differing == ()


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize(
    "run",
    [run for run in RUNS if run.name.startswith(("cifar", "imagenet"))],
    ids=lambda path: path.name,
)
def test_rows_of_real_images_are_computed_again(
    run: Path, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_results(run)
    untrained = rows.filter(pc.is_null(rows["train_seed"]))
    (tmp_path / "data").symlink_to(real_data)
    monkeypatch.chdir(tmp_path)
    for trial_id in some_trials(untrained):
        assert replay(run, trial_id).differing == ()

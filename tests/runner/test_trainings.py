"""Networks are trained once for the setups that share them, and a killed training goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from campaign.engines.stores.reader import read_results
from campaign.records import RESULT_COLUMNS
from campaign.runner.history import plan_with_history, status_of
from campaign.spec.load import load
from tests.runner.conftest import Campaign, Ear

SPEC = """\
name: small
models: digits_cnn
dataset: digits
grid:
  dtype: fp32
  method: [none, trained_saf, [trained_saf, secded]]
  ber: [1.0e-3]
  seeds: 2
training:
  dataset: {digits: {split: train}}
  recipe: {epochs: 2, batch_size: 64, optimizer: {sgd: {lr: 0.01}}, validation_images: 100}
evaluation: {subset: 100}
engine: {executor: inline}
output: {mlflow: false, report: false}
"""


@pytest.fixture
def trained(campaign: Campaign) -> Campaign:
    campaign.path.write_text(SPEC, "utf-8")
    return campaign


def rows_of(folder: Path) -> dict[str, tuple[object, ...]]:
    table = read_results(folder).to_pylist()
    return {row["trial_id"]: tuple(row[c] for c in RESULT_COLUMNS) for row in table}


def epochs_in(ear: Ear) -> list[str]:
    return [note for note in ear.notes if note.startswith("training ")]


def weights_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "checkpoints").glob("*.safetensors")}


def test_one_training_serves_two_setups_and_is_not_done_again(trained, ear) -> None:
    result = trained.run(ear=ear)
    assert (result.exit_code, result.ok, result.total) == (0, 9, 9)
    assert len(weights_in(trained.results)) == 1
    assert any("epoch 2 of 2" in line for line in epochs_in(ear))
    by_method = {row["method"]: row for row in read_results(trained.results).to_pylist()}
    assert by_method["none"]["train_seed"] is None
    assert {by_method[m]["train_seed"] for m in ("trained_saf", "trained_saf+secded")} == {0}
    clean = {
        r["method"]: r["n_correct"]
        for r in read_results(trained.results).to_pylist()
        if r["ber"] == 0
    }
    assert clean["trained_saf"] == clean["trained_saf+secded"] > 90

    again = Ear()
    assert trained.run(ear=again).ran == 0
    more = trained.run("grid.seeds=3", ear=again)
    assert (more.ran, more.ok) == (3, 12)
    assert epochs_in(again) == []


def test_each_train_seed_is_a_training_and_setups_of_its_own(trained, ear) -> None:
    result = trained.run("training.seeds=2", ear=ear)
    assert (result.exit_code, result.total) == (0, 15)
    rows = read_results(trained.results).to_pylist()
    found = {(row["method"], row["train_seed"]) for row in rows}
    assert found == {("none", None)} | {
        (method, seed) for method in ("trained_saf", "trained_saf+secded") for seed in (0, 1)
    }
    first, second = weights_in(trained.results).values()
    assert first != second
    payload = {(r["ber"], r["seed"]): r["flips_digest"] for r in rows if r["method"] == "none"}
    assert all(
        payload[r["ber"], r["seed"]] == r["flips_digest"]
        for r in rows
        if r["method"] == "trained_saf"
    )
    status = status_of(trained.results)
    assert (status.ok, status.total, status.others) == (15, 15, 0)
    assert {setup.ok for setup in status.setups} == {3}


def test_a_diverged_training_is_rows_and_the_others_go_on(trained, ear) -> None:
    result = trained.run("training.recipe.optimizer={sgd: {lr: 1.0e+38}}", ear=ear)
    assert (result.exit_code, result.ok, result.total) == (3, 3, 9)
    ((status, kind, message), count), *_ = result.failures.items()
    assert (status, kind, count) == ("diverged", "TrainingDiverged", 6)
    assert "loss was NaN or infinite" in message
    assert trained.run("training.recipe.optimizer={sgd: {lr: 1.0e+38}}").exit_code == 3


def test_another_recipe_is_drift(trained) -> None:
    trained.run()
    with pytest.raises(Exception, match="recipe in place, digest: the results have"):
        trained.run("training.recipe.epochs=3")


@pytest.mark.slow
def test_killed_in_mid_training_ends_as_an_unbroken_run(trained) -> None:
    settings = ["--set", "training.recipe.epochs=40"]
    command = [sys.executable, "-m", "campaign", "run", str(trained.path), *settings]
    command += ["--results", str(trained.results)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    folder, deadline = trained.results / "checkpoints", time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if list(folder.glob("*.running")):
            break
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    assert not weights_in(trained.results), "it was to be killed in mid-training"
    assert list(folder.glob("*.running"))
    assert trained.run("training.recipe.epochs=40").exit_code == 0
    broken, broken_rows = weights_in(trained.results), rows_of(trained.results)
    trained.results = trained.root / "unbroken"
    assert trained.run("training.recipe.epochs=40").exit_code == 0
    assert rows_of(trained.results) == broken_rows
    assert states_of(trained.results) == states_of(trained.root / "results" / "small")
    assert broken


def states_of(folder: Path) -> dict[str, bytes]:
    from safetensors.numpy import load

    (held,) = weights_in(folder).values()
    return {name: np.ascontiguousarray(value).tobytes() for name, value in load(held).items()}

"""Networks are trained once for the setups that share them, and a killed training goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from campaign.engines.stores.reader import read_results
from campaign.errors import DriftError, SetupError, SpecError
from campaign.records import RESULT_COLUMNS
from campaign.runner.history import plan_with_history, status_of
from campaign.runner.result import Job, RunOptions
from campaign.runner.run import train_campaign
from campaign.runner.training_log import read_log
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
    assert message == (
        "the loss became NaN or infinite in epoch 1, the network before training is kept; lower "
        "the optimizer's lr or set gradient_clip"
    )
    assert trained.run("training.recipe.optimizer={sgd: {lr: 1.0e+38}}").exit_code == 3


def test_another_recipe_is_drift(trained) -> None:
    trained.run()
    with pytest.raises(DriftError, match="recipe in place, digest: the results have"):
        trained.run("training.recipe.epochs=3")


def test_train_runs_trainings_alone_and_plan_says_which_are_done(trained, ear) -> None:
    loaded = load(trained.path, ["training.seeds=2", "output.mlflow=true"])
    job, options = Job(loaded.spec, loaded.text, loaded.resolved()), RunOptions(trained.results)
    before = plan_with_history(loaded.spec, trained.results).trainings
    # 1,197 images less 100 held out are 17 batches of 64, twice
    assert [(p.images, p.state, p.setups) for p in before] == [(2176, "to do", 2)] * 2
    large = load(trained.path, ["training.recipe.batch_size=4096"])
    (planned,) = plan_with_history(large.spec, trained.results).trainings
    assert planned.images == 2 * 1097
    found = train_campaign(job, options, ear)
    assert (found.exit_code, found.total, found.cached, found.trained) == (0, 2, 0, 2)
    assert read_rows(trained.results) == []
    after = plan_with_history(loaded.spec, trained.results).trainings
    assert [p.state for p in after] == ["done"] * 2
    again = train_campaign(job, options, ear)
    assert (again.exit_code, again.cached, again.trained) == (0, 2, 0)
    curves = runs_in_mlflow(trained.results)
    assert sorted(curves) == [0, 1]
    for by_epoch in curves.values():
        assert sorted(by_epoch) == [1, 2]
        assert 0.9 < by_epoch[2] <= 1


def read_rows(folder: Path) -> list[dict[str, object]]:
    try:
        return read_results(folder).to_pylist()
    except SetupError:
        return []


def runs_in_mlflow(results: Path) -> dict[int, dict[int, float]]:
    """Validation accuracy by epoch of each training, by its seed."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{results.parent / 'mlflow.db'}")
    (experiment,) = (e for e in client.search_experiments() if e.name == "small")
    trained = [
        run
        for run in client.search_runs([experiment.experiment_id])
        if run.info.run_name.startswith("training · ")
    ]
    return {
        int(run.data.params["train_seed"]): {
            point.step: point.value
            for point in client.get_metric_history(run.info.run_id, "validation_accuracy")
        }
        for run in trained
    }


@pytest.mark.slow
@pytest.mark.ray
def test_rows_are_those_of_the_inline_executor(trained, ear, monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    settings = ["training.seeds=2", "training.recipe.epochs=1"]
    assert trained.run(*settings).exit_code == 0
    inline = rows_of(trained.results)
    trained.results = trained.root / "results" / "ray"
    result = trained.run(*settings, ear=ear, executor="ray", workers=2)
    assert (result.exit_code, result.ran) == (0, 15)
    assert rows_of(trained.results) == inline
    assert len(epochs_in(ear)) == 2


@pytest.mark.slow
@pytest.mark.ray
def test_two_workers_train_through_ray(trained, ear, monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    settings = ["training.recipe.epochs=1", "training.workers=2"]
    with pytest.raises(SpecError, match="workers: got 2; allowed with the executor inline"):
        trained.run(*settings)
    trained.results = trained.root / "results" / "ray"
    result = trained.run(*settings, ear=ear, executor="ray", workers=2)
    assert (result.exit_code, result.ran) == (0, 9), ear.notes
    assert len(epochs_in(ear)) == 1
    two = states_of(trained.results)
    trained.results = trained.root / "results" / "one"
    assert trained.run("training.recipe.epochs=1").exit_code == 0
    one = states_of(trained.results)
    assert set(one) == set(two)
    for name, value in one.items():
        near = [np.frombuffer(held, np.float32) for held in (value, two[name])]
        np.testing.assert_allclose(*near, rtol=1e-3, atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_a_signal_stops_after_the_epoch_and_the_same_command_goes_on(trained) -> None:
    command = [sys.executable, "-m", "campaign", "train", str(trained.path), "--set"]
    command += ["training.recipe.epochs=4000", "--results", str(trained.results)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    wait_for_epoch(trained.results / "checkpoints", process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "stopped; the same command goes on" in err
    (status,) = read_log(trained.results).values()
    assert status.state == "begun"
    assert 1 <= status.epoch < 4000


@pytest.mark.slow
def test_a_second_signal_stops_in_mid_epoch(trained) -> None:
    command = [sys.executable, "-m", "campaign", "train", str(trained.path), "--set"]
    command += ["training.recipe={epochs: 9, batch_size: 1}", "--results", str(trained.results)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    wait_for_epoch(trained.results / "checkpoints", process)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    (status,) = read_log(trained.results).values()
    assert (status.state, status.epoch) == ("begun", 1)


@pytest.mark.slow
def test_killed_in_mid_training_ends_as_an_unbroken_run(trained) -> None:
    settings = ["--set", "training.recipe.epochs=40"]
    command = [sys.executable, "-m", "campaign", "run", str(trained.path), *settings]
    command += ["--results", str(trained.results)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    folder = trained.results / "checkpoints"
    wait_for_epoch(folder, process)
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


def wait_for_epoch(folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if list(folder.glob("*.running")):
            return
        time.sleep(0.01)


def states_of(folder: Path) -> dict[str, bytes]:
    (held,) = weights_in(folder).values()
    return {
        name: np.ascontiguousarray(value).tobytes()
        for name, value in safetensors.numpy.load(held).items()
    }

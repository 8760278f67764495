"""The loop against a plain one; killed and taken up again; diverging, stopping early."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from campaign.errors import SetupError
from campaign.faults import Stream
from campaign.faults.streams import derived_seed
from campaign.methods import Method
from campaign.methods.fitting import Batch, Context, Criterion, Fitting
from campaign.training.checkpoint import load, load_running, result_path, running_path
from campaign.training.fittings import Fittings
from campaign.training.job import EpochMetrics, Materials
from campaign.training.loop import fit
from tests.training.conftest import equal, make_job

LONG: dict[str, Any] = {
    "epochs": 4,
    "optimizer": {"adamw": {"lr": 0.002, "weight_decay": 0.01}},
    "warmup_epochs": 1,
    "augment": [{"random_crop": {"padding": 1}}, {"rotation": {"degrees": 5}}],
    "label_smoothing": 0.1,
    "gradient_clip": 1.0,
    "early_stop": {"patience": 4},
}
STACK: list[Any] = [
    {"weight_clipping": {"bound": 0.3, "trained": True}},
    {"trained_saf": {"function": "scaled_tanh", "gains": True}},
]
KILLED = """
import os, signal, sys, threading
from pathlib import Path
from tests.training.conftest import few_images, make_job
from tests.training.test_loop import LONG, STACK
from campaign.training.loop import fit

def report(metrics):
    if metrics.epoch == 2:  # in the middle of the third epoch
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()

fit(make_job(*STACK, **LONG), Path(sys.argv[1]), report=report, materials=few_images())
"""


class Interrupted(Exception):
    """Ends a training between two epochs."""


def break_off(folder: Path, materials: Materials) -> None:
    """Train for two epochs."""

    def report(metrics: EpochMetrics) -> None:
        if metrics.epoch == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        fit(make_job(*STACK, **LONG), folder, report=report, materials=materials)


def kill(folder: Path, materials: Materials) -> None:
    """Train in another process, until that is killed in the third epoch."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("end", [break_off, pytest.param(kill, marks=pytest.mark.slow)])
def test_a_training_that_was_broken_off_ends_with_the_weights_of_an_unbroken_one(
    end: Callable[[Path, Materials], None], materials: Materials, tmp_path: Path
) -> None:
    job = make_job(*STACK, **LONG)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    end(killed, materials)
    assert not result_path(killed, job).exists()
    held = load_running(killed, job)
    assert held is not None
    assert len(held.metrics) in (2, 3)

    told: list[int] = []
    fit(job, killed, report=lambda m: told.append(m.epoch), materials=materials)
    unbroken = fit(job, whole, materials=materials)
    assert told == list(range(len(held.metrics) + 1, 5))
    first, second = load(killed, job), load(whole, job)
    assert equal(first.state, second.state)
    assert first.learnt[1].keys() == second.learnt[1].keys()
    assert all(torch.equal(v, second.learnt[1][k]) for k, v in first.learnt[1].items())
    without_time = [[m._replace(seconds=0.0) for m in t.metrics] for t in (first, second)]
    assert without_time[0] == without_time[1]
    assert unbroken.path.exists()
    assert not running_path(whole, job).exists()
    for name, bits in first.state.items():
        assert float(np.abs(bits).max()) <= np.float32(0.3), name

    again = fit(job, whole, report=lambda _: pytest.fail("trained again"), materials=materials)
    assert again == unbroken
    other = make_job(*STACK, seed=1, **LONG)
    fit(other, whole, materials=materials)
    assert not equal(load(whole, other).state, second.state)


def test_a_plain_loop_ends_with_the_same_weights(materials: Materials, tmp_path: Path) -> None:
    sgd = {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
    job = make_job("retrained", seed=7, batch_size=100, optimizer={"sgd": sgd})
    state = torch.random.get_rng_state()
    result = fit(job, tmp_path, materials=materials)
    assert torch.equal(torch.random.get_rng_state(), state)

    held_out = np.argsort(Stream(0, "dataset", "validation", 64).uniform(500), kind="stable")[:100]
    kept = np.setdiff1d(np.arange(500), held_out)
    pixels, labels = (torch.from_numpy(part) for part in materials.images)
    module = job.model.build().train()
    module.load_state_dict({n: torch.tensor(v) for n, v in materials.state.items()})
    optimizer = torch.optim.SGD(module.parameters(), **sgd)
    schedule = CosineAnnealingLR(optimizer, 8)
    for epoch in range(2):
        generator = torch.Generator().manual_seed(derived_seed(7, "order", epoch))
        order = kept[torch.randperm(400, generator=generator).numpy()]
        for chosen in order.reshape(4, 100):
            optimizer.zero_grad()
            logits = module(pixels[chosen].float() / 16)
            torch.nn.functional.cross_entropy(logits, labels[chosen]).backward()
            optimizer.step()
            schedule.step()
    trained = load(tmp_path, job)
    for name, value in module.state_dict().items():
        np.testing.assert_allclose(trained.state[name], value, rtol=1e-4, atol=1e-6)
        assert (trained.state[name] != materials.state[name]).any()
    with torch.no_grad():
        logits = module.eval()(pixels[held_out].float() / 16)
    right = float((logits.argmax(1) == labels[held_out]).float().mean())
    assert result.metrics[-1].validation_accuracy == pytest.approx(right)
    entropy = float(torch.nn.functional.cross_entropy(logits, labels[held_out]))
    assert result.metrics[-1].validation_loss == pytest.approx(entropy, rel=1e-3)
    assert (result.epochs, result.status, result.warnings) == (2, "finished", ())


def test_a_training_that_diverges_keeps_the_last_good_epoch(
    materials: Materials, tmp_path: Path
) -> None:
    leap = {"steps": {"at": [0.5], "factor": 1e38}}
    job = make_job("retrained", schedule=leap, epochs=4)
    kept: list[dict[str, torch.Tensor]] = []

    def note(metrics: EpochMetrics) -> None:
        running = load_running(tmp_path, job)
        assert running is not None
        kept.append(running.network)

    result = fit(job, tmp_path, report=note, materials=materials)
    trained = load(tmp_path, job)
    assert (result.status, result.epochs, len(kept)) == ("diverged", 2, 2)
    assert equal(trained.state, {name: value.numpy() for name, value in kept[1].items()})
    assert result.warnings[0].endswith(
        "became NaN or infinite in epoch 3, epoch 2 is kept; lower the optimizer's lr or set "
        "gradient_clip"
    )
    best = make_job("retrained", schedule=leap, epochs=4, early_stop={"patience": 2, "delta": 0.5})
    result = fit(best, tmp_path, materials=materials)
    assert (result.status, result.epochs, len(result.metrics)) == ("diverged", 1, 2)
    assert "in epoch 3, epoch 1 is kept" in result.warnings[0]
    at_once = make_job("retrained", optimizer={"sgd": {"lr": 1e38}})
    assert fit(at_once, tmp_path, materials=materials).epochs == 0
    trained = load(tmp_path, at_once)
    assert equal(trained.state, dict(materials.state))


def test_a_training_stops_early_and_keeps_the_best_epoch(
    materials: Materials, tmp_path: Path
) -> None:
    stop = {"patience": 2, "delta": 0.5}
    job = make_job("retrained", epochs=9, early_stop=stop)
    kept: list[dict[str, Any]] = []

    def note(metrics: EpochMetrics) -> None:
        running = load_running(tmp_path, job)
        assert running is not None
        kept.append({name: value.numpy() for name, value in running.network.items()})

    result = fit(job, tmp_path, report=note, materials=materials)
    assert (result.status, result.epochs, len(result.metrics)) == ("stopped", 1, 3)
    assert equal(load(tmp_path, job).state, kept[0])
    assert not equal(kept[0], kept[2])


def test_weights_beyond_the_bound_are_told_with_their_share(
    materials: Materials, tmp_path: Path
) -> None:
    job = make_job({"weight_clipping": {"bound": 0.1, "trained": True}}, epochs=1)
    (warning,) = fit(job, tmp_path, materials=materials).warnings
    beyond = {name: np.abs(value) > 0.1 for name, value in materials.state.items()}
    share = np.concatenate([flags.ravel() for flags in beyond.values()]).mean()
    worst = max(beyond, key=lambda name: beyond[name].mean())
    assert warning == (
        f"weight_clipping: training starts with {share:.3%} of all weights clipped to 0.1, "
        f"{beyond[worst].mean():.3%} of {worst}; a larger bound clips less"
    )
    trained = load(tmp_path, job)
    assert max(np.abs(value).max() for value in trained.state.values()) == np.float32(0.1)


@pytest.mark.parametrize(
    ("options", "share"), [({}, 1.0), ({"function": "scaled_tanh", "a_over_max": 0.5}, 0.5)]
)
def test_weights_beyond_the_bound_of_tau_are_told_with_their_share(
    materials: Materials, tmp_path: Path, options: dict[str, Any], share: float
) -> None:
    large = {name: value * 2 for name, value in materials.state.items()}
    materials, beyond = Materials(large, materials.images), {}
    for name, value in large.items():
        if name.endswith("weight"):
            bound = share * (1.0 if not options else np.abs(value).max())
            beyond[name] = np.abs(value) > bound
    share = np.concatenate([flags.ravel() for flags in beyond.values()]).mean()
    assert 0 < share < 0.1
    worst = max(beyond, key=lambda name: beyond[name].mean())
    job = make_job({"trained_saf": options}, epochs=1)
    (warning,) = fit(job, tmp_path, materials=materials).warnings
    assert warning.startswith(f"trained_saf: training starts with {share:.3%} of all weights")
    assert f", {beyond[worst].mean():.3%} of {worst}; " in warning
    fresh = make_job({"trained_saf": {**options, "start": "scratch"}}, epochs=1)
    assert fit(fresh, tmp_path, materials=materials).warnings == ()


def test_files_of_another_training_and_damaged_ones_are_refused(
    materials: Materials, tmp_path: Path
) -> None:
    job, other = make_job("retrained", epochs=1), make_job("retrained", epochs=1, seed=1)
    with pytest.raises(SetupError, match="no such file; train it first"):
        load(tmp_path, job)
    fit(job, tmp_path, materials=materials)
    shutil.copy(result_path(tmp_path, job), result_path(tmp_path, other))
    with pytest.raises(SetupError, match=r"of the training .* is asked for; delete it and train"):
        fit(other, tmp_path, materials=materials)
    result_path(tmp_path, job).write_bytes(b"no network")
    with pytest.raises(SetupError, match=r"no trained network .*; delete it and train again"):
        load(tmp_path, job)
    third = make_job("retrained", epochs=1, seed=2)
    running_path(tmp_path, third).write_bytes(b"no epoch")
    with pytest.raises(SetupError, match=r"no epoch of a training .*; delete it and train again"):
        fit(third, tmp_path, materials=materials)


def test_what_cannot_be_trained_is_refused_before_it_costs_time(
    materials: Materials, tmp_path: Path
) -> None:
    def refused(text: str, *methods: Any, **recipe: Any) -> None:
        with pytest.raises(ValueError, match=text):
            fit(make_job(*methods, **recipe), tmp_path, materials=given)

    given = materials
    refused(
        "has 500 images, and validation_images asks for 500", "retrained", validation_images=500
    )
    large = {name: value * 9 for name, value in materials.state.items()}
    given = Materials(large, materials.images)
    refused(
        r"conv1.weight: saf tanh: max\|W\| = .* no inverse for \d\d\.\d+% of it; use start: ",
        {"trained_saf": {"start": "inverse"}},
    )
    given = Materials(
        materials.state, materials.images._replace(labels=materials.images.labels + 1)
    )
    refused("labels up to 10, the network answers 10 classes", "retrained")


class Halved(Fitting):
    """Trains by a rule of its own."""

    def step(
        self, module: torch.nn.Module, batch: Batch, criterion: Criterion, context: Context
    ) -> torch.Tensor:
        return super().step(module, batch, criterion, context) / 2


class First(Method):
    """A trained method."""

    name = "first"

    def fitting(self) -> Fitting:
        return Halved()


class Second(First):
    """Another one."""

    name = "second"


def test_two_rules_of_training_cannot_be_one() -> None:
    with pytest.raises(ValueError, match=r"first and second each train by a rule .*\(step\)"):
        Fittings([First(), Second()])
    assert Fittings([First()]).each[0].fresh is False

"""Trials that wait for a training, on both executors, with trainings that misbehave."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from campaign.engines.executors.base import Executor, Failure
from campaign.engines.executors.fits import Fit, FitOutcome
from campaign.engines.executors.inline import InlineExecutor
from campaign.engines.executors.ray import RayExecutor
from campaign.errors import SetupError
from campaign.spec.grid import SetupPoints, Training
from campaign.training.recipe import Recipe


@dataclass(frozen=True)
class Scripted:
    """Reports `epochs` epochs, then does what `deed` says."""

    folder: Path
    name: str = "x"
    epochs: int = 3
    seconds: float = 0.0
    deed: str = ""

    def run(self, report: Callable[[object], None], stopping: Callable[[], bool]) -> FitOutcome:
        mark = self.folder / f"{self.name}.epochs"
        done = len(mark.read_text()) if mark.exists() else 0
        for epoch in range(done, self.epochs):
            time.sleep(self.seconds)
            mark.write_text("." * (epoch + 1))
            report(epoch + 1)
            if self.deed == "hang":
                time.sleep(600)
            if self.deed == "kill" and epoch == 0:
                time.sleep(0.5)
                os.kill(os.getpid(), signal.SIGKILL)
            if stopping():
                return FitOutcome()
        if self.deed == "raise":
            raise ValueError("layer fc cannot be trained so")
        if self.deed == "diverge":
            return FitOutcome(failure=Failure("diverged", "TrainingDiverged", "loss was NaN"))
        return FitOutcome(f"weights of {self.name}")


@dataclass(frozen=True)
class Paired(Scripted):
    """Adds up over two processes in each epoch; rank 1 does its deed once, in the second."""

    rank: int = 0

    def member(self, rank: int, size: int, device: str) -> Paired:
        return replace(self, rank=rank)

    def run(self, report: Callable[[object], None], stopping: Callable[[], bool]) -> FitOutcome:
        import torch

        mark, done_it = self.folder / "pair.epochs", self.folder / "done"
        done = torch.tensor(float(len(mark.read_text()) if mark.exists() else 0))
        torch.distributed.broadcast(done, src=0)
        for epoch in range(int(done), self.epochs):
            if epoch == 1 and self.rank and not done_it.exists():
                done_it.touch()
                if self.deed == "raise":
                    raise ValueError("no such layer")
                os.kill(os.getpid(), signal.SIGKILL)
            total = torch.ones(())
            torch.distributed.all_reduce(total)
            if not self.rank:
                mark.write_text("." * (epoch + 1))
                report((epoch + 1, float(total)))
        return FitOutcome("weights of both")


@dataclass
class Ear:
    epochs: list[object] = field(default_factory=list)
    outcomes: list[FitOutcome] = field(default_factory=list)

    def epoch(self, metrics: object) -> None:
        self.epochs.append(metrics)

    def ended(self, outcome: FitOutcome) -> None:
        self.outcomes.append(outcome)


@pytest.fixture(scope="module")
def cluster(teach_workers: Callable[[], None]) -> Iterator[None]:
    """One cluster of two CPUs for all tests here."""
    started = RayExecutor(address="local", workers=2)
    started.start()
    teach_workers()
    teach_this()
    yield
    started.close()


@pytest.fixture(params=["inline", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow])])
def executor(request: pytest.FixtureRequest) -> Executor:
    if request.param == "inline":
        return InlineExecutor()
    request.getfixturevalue("cluster")
    return RayExecutor(address="local", workers=2)


def teach_this() -> None:
    import ray.cloudpickle

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


def make_fit(kit: Any, folder: Path, name: str, count: int = 20, **how: Any) -> tuple[Fit, Ear]:
    task, ear = kit.make_task(name, count), Ear()
    nothing: Any = None
    training = Training("r", Recipe(), "images", nothing, 0, digest=name)
    task = SetupPoints(replace(task.setup, training=training), task.points)
    work = Scripted(folder, name=name, **how)
    return Fit(training.asset, name, work, ear, (task,), gpus=0), ear


def test_trials_run_once_their_training_has_ended(kit, executor, tmp_path) -> None:
    free = kit.make_task("free", 20)
    (first, heard), (second, _) = (make_fit(kit, tmp_path, name) for name in "ab")
    work = kit.work(reads_training=True)
    rows = [row for rows in executor.run([free], work, kit.assets, [first, second]) for row in rows]
    wanted = {p.trial_id for t in (free, *first.tasks, *second.tasks) for p in t.points}
    assert sorted(row.trial_id for row in rows) == sorted(wanted)
    assert {row.status for row in rows} == {"ok"}
    assert {(row.setup_id, row.device) for row in rows} == {
        ("free", None),
        ("a", "weights of a"),
        ("b", "weights of b"),
    }
    assert heard.epochs == [1, 2, 3]
    assert heard.outcomes == [FitOutcome("weights of a")]


def test_a_training_that_fails_costs_its_trials_alone(kit, executor, tmp_path) -> None:
    free = kit.make_task("free", 5)
    fits = [make_fit(kit, tmp_path, n, 600, deed=n)[0] for n in ("raise", "diverge")]
    rows = [row for rows in executor.run([free], kit.work(), kit.assets, fits) for row in rows]
    found = {row.setup_id: (row.status, row.error_type, row.error) for row in rows}
    assert len(rows) == 1205
    assert found["free"][0] == "ok"
    assert found["raise"] == ("error", "ValueError", "layer fc cannot be trained so")
    assert found["diverge"] == ("diverged", "TrainingDiverged", "loss was NaN")


def test_a_stop_ends_the_training_after_its_epoch(kit, executor, tmp_path) -> None:
    fit, heard = make_fit(kit, tmp_path, "long", epochs=1000, seconds=0.05)
    fit = replace(fit, listener=_Stopper(executor, heard))
    assert list(executor.run([], kit.work(), kit.assets, [fit])) == []
    assert heard.outcomes == [FitOutcome()]
    done = len((tmp_path / "long.epochs").read_text())
    assert 1 <= done < 100


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
@pytest.mark.slow
def test_a_training_that_does_not_end_in_time_is_given_up(kit, tmp_path) -> None:
    fit, heard = make_fit(kit, tmp_path, "hangs", deed="hang")
    executor = RayExecutor(address="local", workers=1, grace_seconds=0.5)
    fit = replace(fit, listener=_Stopper(executor, heard))
    began = time.monotonic()
    assert list(executor.run([], kit.work(), kit.assets, [fit])) == []
    assert time.monotonic() - began < 60
    assert heard.outcomes == [FitOutcome()]


class _Stopper:
    def __init__(self, executor: Executor, ear: Ear) -> None:
        self.executor, self.ear = executor, ear

    def epoch(self, metrics: object) -> None:
        self.executor.stop()

    def ended(self, outcome: FitOutcome) -> None:
        self.ear.ended(outcome)


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
@pytest.mark.slow
def test_a_training_whose_process_dies_goes_on_and_one_too_large_is_told(kit, tmp_path) -> None:
    fit, heard = make_fit(kit, tmp_path, "dies", deed="kill")
    executor = RayExecutor(address="local", workers=1)
    rows = [row for rows in executor.run([], kit.work(), kit.assets, [fit]) for row in rows]
    assert len(rows) == 20
    assert heard.epochs == [1, 2, 3]
    large = replace(fit, cpus=64)
    with pytest.raises(SetupError, match="room for a training of 64 CPUs and 0 GPUs"):
        list(RayExecutor(address="local").run([], kit.work(), kit.assets, [large]))


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("deed", "outcome", "status"),
    [
        ("kill", FitOutcome("weights of both"), "ok"),
        ("raise", FitOutcome(failure=Failure("error", "ValueError", "no such layer")), "error"),
    ],
)
def test_a_team_goes_on_without_what_is_lost_and_tells_what_fails(
    kit, tmp_path, deed: str, outcome: FitOutcome, status: str
) -> None:
    fit, heard = make_fit(kit, tmp_path, "pair")
    fit = replace(fit, work=Paired(tmp_path, deed=deed), workers=2)
    free = kit.make_task("free", 5)  # needs a CPU that the team has to give back
    executor = RayExecutor(address="local", workers=1)
    rows = [row for rows in executor.run([free], kit.work(), kit.assets, [fit]) for row in rows]
    assert (tmp_path / "done").exists()
    assert heard.outcomes == [outcome]
    assert heard.epochs == [(1, 2.0), (2, 2.0), (3, 2.0)][: 3 if status == "ok" else 1]
    assert {row.status for row in rows if row.setup_id == "pair"} == {status}
    assert len([row for row in rows if row.setup_id == "free"]) == 5

"""How a training is run, and what the driver hears of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from campaign.engines.executors.fits import GRACE_SECONDS, Fit, FitOutcome
from campaign.engines.trackers.base import TrainingCurve
from campaign.errors import SetupError
from campaign.records import Failure
from campaign.runner.checkpoints import Checkpoints
from campaign.runner.folder import ResultsFolder
from campaign.runner.training_log import State, TrainingLog, TrainingStatus
from campaign.runner.trainings import Training, training_curve, trainings_of
from campaign.sources import Images
from campaign.spec.campaign import CampaignSpec
from campaign.spec.grid import Setup, SetupPoints
from campaign.training.team import ALONE, Team

if TYPE_CHECKING:
    from campaign.training.job import EpochMetrics, FitJob, Trained

MOST_SHARED = 0.01
"""Share of the test images that may be trained on: some published sets have images twice."""
NOTE_EVERY = 5.0
"""Seconds between two lines about the epochs of one training."""


class Watcher(Protocol):
    """Who is told how trainings go."""

    def note(self, text: str) -> None:
        """Something happened that is worth a line."""
        ...


class Diary(Protocol):
    """Who keeps the metrics of trainings, such as a tracker."""

    def train(self, curve: TrainingCurve) -> None:
        """The epochs of a training so far."""
        ...


@dataclass(frozen=True)
class TrainingWork:
    """One training, sent to where it runs.

    Args:
        job: What to train.
        checkpoints: Where they are kept.
        threads: Of the CPU.
        use_gpu: Compute on the CUDA device that is seen, if one is.
        grace_seconds: How long an epoch may still take once a stop is asked for.
        team: The process of several that this is.
    """

    job: FitJob
    checkpoints: Checkpoints
    threads: int
    use_gpu: bool
    grace_seconds: float = GRACE_SECONDS
    team: Team = ALONE

    def member(self, rank: int, size: int, device: str) -> TrainingWork:
        """See `campaign.engines.executors.fits.FitWork`."""
        return replace(self, team=Team(rank, size, device))

    def run(self, report: Callable[[object], None], stopping: Callable[[], bool]) -> FitOutcome:
        """See `campaign.engines.executors.fits.FitWork`."""
        import torch

        from campaign.training.loop import fit

        def tell(metrics: EpochMetrics) -> None:
            report(metrics)
            if stopping():
                raise _Stopped

        lone = "cuda" if self.use_gpu and torch.cuda.is_available() else "cpu"
        device, checkpoints = self.team.device or lone, self.checkpoints
        held, grace = torch.get_num_threads(), _Grace(stopping, self.grace_seconds)
        fit_there = partial(fit, device=device, threads=self.threads, team=self.team)
        try:
            kept = checkpoints.finished(self.job) if self.team.leads else None
            if not self.team.told(kept is not None):
                fit_there(self.job, checkpoints.bench, report=tell, pause=grace.check)
        except _Stopped:
            return FitOutcome()
        finally:
            torch.set_num_threads(held)
        if not self.team.leads:
            return FitOutcome()
        return outcome_of_result(kept or checkpoints.keep(self.job))


class _Stopped(BaseException):
    """Ends a training; no error, so nothing takes it for one."""


class _Grace:
    """Gives an epoch up that takes too long after a stop was asked for."""

    def __init__(self, stopping: Callable[[], bool], seconds: float) -> None:
        self.stopping, self.seconds = stopping, seconds
        self.since: float | None = None

    def check(self) -> None:
        """Raises `_Stopped` once the time is over."""
        if not self.stopping():
            return
        now = time.monotonic()
        self.since = now if self.since is None else self.since
        if now - self.since >= self.seconds:
            raise _Stopped


def outcome_of_result(trained: Trained) -> FitOutcome:
    """What a finished training gives to its trials; a diverged one gives its reason, told last."""
    if trained.status != "diverged":
        return FitOutcome(trained)
    return FitOutcome(failure=Failure("diverged", "TrainingDiverged", trained.warnings[-1]))


@dataclass(frozen=True)
class Split:
    """The tasks of a run by whether they can run at once.

    Args:
        ready: Those that wait for nothing.
        assets: Trained networks that they need, by key.
        fits: Trainings with the tasks that wait for them.
    """

    ready: list[SetupPoints]
    assets: dict[str, object]
    fits: list[Fit]


class Trainer:
    """Makes what an executor needs of the trainings of one run.

    Args:
        spec: The campaign.
        folder: Its results.
        checkpoints: Where trained networks are kept.
        listener: Told of what is begun and of epochs.
        diary: Told all epochs of a training when it has ended or an epoch has.
    """

    def __init__(
        self,
        spec: CampaignSpec,
        folder: ResultsFolder,
        checkpoints: Checkpoints,
        listener: Watcher,
        diary: Diary,
    ) -> None:
        self.spec, self.listener, self.diary = spec, listener, diary
        self.checkpoints, self.log = checkpoints, TrainingLog(folder)
        self.total = self.cached = self.done = 0
        """Trainings of the tasks; those that had ended well before; those that have in this run."""
        self.failed: dict[str, Failure] = {}
        """Trainings without a result, by label."""

    def split(self, tasks: Sequence[SetupPoints]) -> Split:
        """The tasks by whether they can run at once; reads finished trainings.

        Raises:
            SetupError: If a checkpoint is damaged, or images of the test set are trained on.
        """
        found = Split([task for task in tasks if task.setup.training is None], {}, [])
        for training in trainings_of(task.setup for task in tasks):
            waiting = tuple(task for task in tasks if task.setup in training.setups)
            trained = self.checkpoints.finished(training.job)
            told = _Told(training, self)
            self.total += 1
            if trained is not None and trained.status != "diverged":
                self.cached += 1
                found.assets[training.key] = trained
                found.ready.extend(waiting)
                told.trained(trained)
            else:
                told.put("waiting", None)
                found.fits.append(self.fit(training, waiting, told))
        if found.fits:
            refuse_shared(next(task.setup for task in tasks if task.setup.training is not None))
        return found

    def fit(self, training: Training, waiting: tuple[SetupPoints, ...], told: _Told) -> Fit:
        """The training for an executor."""
        chosen = self.spec.training
        assert chosen is not None
        work = TrainingWork(training.job, self.checkpoints, chosen.cpus, chosen.gpus != 0)
        tasks = tuple(task for task in waiting if task.points)
        size = (chosen.cpus, chosen.gpus, chosen.workers)
        return Fit(training.key, training.label, work, told, tasks, *size)


class _Told:
    """What the driver does with the news of one training."""

    def __init__(self, training: Training, trainer: Trainer) -> None:
        self.training, self.trainer = training, trainer
        self._epochs: list[EpochMetrics] = []
        self._noted = 0.0

    def epoch(self, metrics: object) -> None:
        held: EpochMetrics = metrics  # type: ignore[assignment]
        self._epochs.append(held)
        now, last = time.monotonic(), self.training.job.recipe.epochs
        if now - self._noted >= NOTE_EVERY or held.epoch == last:
            self._noted = now
            self.trainer.listener.note(f"training {self.training.label}: {_epoch(held, last)}")
        self.put("begun", held)
        self._tell(self._epochs)

    def ended(self, outcome: FitOutcome) -> None:
        trainer, label = self.trainer, self.training.label
        if outcome.failure is not None:
            trainer.failed[label] = outcome.failure
            failure = outcome.failure
            state: State = "diverged" if failure.status == "diverged" else "failed"
            self.put(state, self._epochs[-1] if self._epochs else None, failure.error)
            trainer.listener.note(f"training {label}: {failure.error_type}: {failure.error}")
            return
        if outcome.value is None:
            trainer.listener.note(f"training {label}: stopped; the same command goes on")
            return
        trained: Trained = outcome.value  # type: ignore[assignment]
        trainer.done += 1
        for warning in trained.warnings:
            trainer.listener.note(f"warning: {label}: {warning}")
        self.trained(trained)

    def trained(self, trained: Trained) -> None:
        """It has ended well, now or before."""
        self.put("trained", trained.metrics[-1] if trained.metrics else None)
        self._tell(trained.metrics)

    def put(self, state: State, newest: EpochMetrics | None, error: str = "") -> None:
        """Say in the results how far it is."""
        job, label = self.training.job, self.training.label
        status = TrainingStatus(label, state, 0, job.recipe.epochs, error=error)
        if newest is not None:
            judged = newest.validation_accuracy
            status = replace(
                status, epoch=newest.epoch, loss=newest.loss, validation_accuracy=judged
            )
        self.trainer.log.put(job.digest, status)

    def _tell(self, metrics: Sequence[EpochMetrics]) -> None:
        self.trainer.diary.train(training_curve(self.training, metrics))


def _epoch(held: EpochMetrics, last: int) -> str:
    judged = held.validation_accuracy
    validation = "" if judged is None else f", validation {judged:.1%}"
    return f"epoch {held.epoch} of {last}, loss {held.loss:.4g}{validation}, {held.seconds:.1f} s"


def refuse_shared(setup: Setup) -> None:
    """Refuse to train on images that trials are judged on.

    Raises:
        SetupError: If there are any.
    """
    training = setup.training
    assert training is not None
    preprocess = setup.model.preprocess
    held, learnt = _prints(setup.dataset.images(preprocess)), training.dataset.images(preprocess)
    shared = sum(_print(image.tobytes()) in held for image in learnt.pixels)
    if shared > MOST_SHARED * len(held):
        raise SetupError(
            f"training.dataset: {shared} images of {training.dataset_name} are in "
            f"{setup.dataset_name} too, which trials are judged on; name another split"
        )


def _prints(images: Images) -> set[bytes]:
    return {_print(image.tobytes()) for image in images.pixels}


def _print(pixels: bytes) -> bytes:
    return hashlib.sha256(pixels).digest()

"""Trainings that setups wait for: what an executor is given of them, and what it tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from campaign.engines.executors.base import Failure, Work
from campaign.records import TrialRecord
from campaign.spec.grid import SetupPoints

ROWS_AT_ONCE = 512
"""Rows of trials whose training failed, in one message."""
GRACE_SECONDS = 30.0
"""How long a stop waits for the trials and epochs under way."""


class FitOutcome(NamedTuple):
    """How a training ended; neither a value nor a failure says that it was stopped."""

    value: object | None = None
    """What workers read under the key of the training."""
    failure: Failure | None = None
    """Why its trials cannot run."""


class FitWork(Protocol):
    """A training: picklable, and light until it is run."""

    def run(self, report: Callable[[object], None], stopping: Callable[[], bool]) -> FitOutcome:
        """Train, or go on with what was begun; whatever it raises becomes a failure.

        Args:
            report: Told the metrics of each epoch when it is safe on disk.
            stopping: Asked after each step and each epoch; once true, no further epoch is begun,
                and one that then takes longer than `GRACE_SECONDS` is given up.
        """
        ...

    def member(self, rank: int, size: int, device: str) -> FitWork:
        """The part of one of `size` processes that train together; the one of rank 0 reports.

        Args:
            rank: Which process, from 0.
            size: How many; their process group of torch.distributed is open.
            device: The torch device of this one.
        """
        ...


class FitListener(Protocol):
    """Who hears of a training on the driver."""

    def epoch(self, metrics: object) -> None:
        """An epoch is safe on disk."""
        ...

    def ended(self, outcome: FitOutcome) -> None:
        """It ended, was stopped or failed."""
        ...


@dataclass(frozen=True)
class Fit:
    """One training and the trials that wait for its weights.

    Args:
        key: Under which key workers ask for what it gives.
        label: What messages call it.
        work: What is sent to where it runs.
        listener: Who hears of it.
        tasks: The trials that can run once it has ended.
        cpus: CPUs and threads of each of its workers.
        gpus: GPUs of each; ``auto`` is 1 where there is one, else 0.
        workers: Processes that train together.
    """

    key: str
    label: str
    work: FitWork
    listener: FitListener
    tasks: tuple[SetupPoints, ...] = ()
    cpus: int = 1
    gpus: float | Literal["auto"] = "auto"
    workers: int = 1

    @property
    def trials(self) -> int:
        """How many trials wait for it."""
        return sum(len(task.points) for task in self.tasks)

    def failed_rows(self, work: Work, failure: Failure) -> Iterator[list[TrialRecord]]:
        """The records of all trials that wait for it in vain."""
        rows: list[TrialRecord] = []
        for task in self.tasks:
            for point in task.points:
                rows.append(work.failed(task.setup, point, failure))
                if len(rows) == ROWS_AT_ONCE:
                    yield rows
                    rows = []
        if rows:
            yield rows


def outcome_of(
    work: FitWork, report: Callable[[object], None], stopping: Callable[[], bool]
) -> FitOutcome:
    """Run a training; what it raises becomes its failure."""
    try:
        return work.run(report, stopping)
    except MemoryError as error:
        return FitOutcome(failure=Failure("oom", type(error).__name__, str(error)))
    except Exception as error:
        status = "oom" if type(error).__name__ == "OutOfMemoryError" else "error"
        return FitOutcome(failure=Failure(status, type(error).__name__, str(error)))


def waiting(fits: Sequence[Fit]) -> int:
    """How many trials wait for all of these."""
    return sum(fit.trials for fit in fits)

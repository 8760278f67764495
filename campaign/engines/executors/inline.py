"""Run trials in this process, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from campaign.engines.executors.base import Failure, Work, Worker
from campaign.engines.executors.fits import Fit, outcome_of, waiting
from campaign.engines.executors.gather import gather
from campaign.errors import CampaignError, SetupError, SpecError
from campaign.records import TrialRecord
from campaign.spec.grid import Point, SetupPoints


class InlineExecutor:
    """Needs no cluster: for small campaigns, tests and debuggers."""

    def __init__(self) -> None:
        self._stopping = False
        self._queued = 0
        self._tasks = list[SetupPoints]()
        self._fits = list[Fit]()

    def start(self) -> None:
        """Nothing is needed."""

    def run(
        self,
        tasks: Sequence[SetupPoints],
        work: Work,
        assets: Mapping[str, object],
        fits: Sequence[Fit] = (),
    ) -> Iterator[list[TrialRecord]]:
        refuse_several(fits)
        self.add(tasks)
        self._fits = list(fits)
        held, prepared = dict(assets), ""
        worker = _open(work, held) if tasks else None
        while (self._tasks or self._fits) and not self._stopping:
            if not self._tasks:
                yield from self._train(self._fits.pop(0), work, held)
                continue
            worker = worker or _open(work, held)
            task = self._next(prepared)
            prepared = task.setup.setup_id
            for rows in self._setup(task, work, worker):
                self._queued -= len(rows)
                yield rows

    def add(self, tasks: Sequence[SetupPoints]) -> None:
        self._tasks += tasks
        self._queued += sum(len(task.points) for task in tasks)

    def stop(self) -> None:
        self._stopping = True

    def close(self) -> None:
        """Nothing is held."""

    def status(self) -> Mapping[str, int]:
        busy = int(self._queued > 0)
        counts = {"workers": 1, "busy": busy, "restarts": 0, "retried": 0}
        queued = self._queued - busy + waiting(self._fits)
        return {**counts, "queued": queued, "in_flight": busy}

    def _train(
        self, fit: Fit, work: Work, assets: dict[str, object]
    ) -> Iterator[list[TrialRecord]]:
        """Train in this process, once no other trial can run; then its trials can."""
        outcome = outcome_of(fit.work, fit.listener.epoch, lambda: self._stopping)
        fit.listener.ended(outcome)
        if outcome.failure is not None:
            yield from fit.failed_rows(work, outcome.failure)
        elif outcome.value is not None:
            assets[fit.key] = outcome.value
            self.add(fit.tasks)

    def _next(self, prepared: str) -> SetupPoints:
        """The first task of the setup that is `prepared`, else the first of all."""
        ids = [task.setup.setup_id for task in self._tasks]
        return self._tasks.pop(ids.index(prepared) if prepared in ids else 0)

    def _setup(self, task: SetupPoints, work: Work, worker: Worker) -> Iterator[list[TrialRecord]]:
        pending = {point.trial_id: point for point in task.points}
        while pending and not self._stopping:
            error: Exception | None = None
            records = worker.trials(task.setup, tuple(pending.values()), 1)
            try:
                for rows in gather(records, lambda: self._stopping):
                    for row in rows:
                        pending.pop(row.trial_id, None)
                    yield rows
            except Exception as raised:
                error = raised
            if pending and not self._stopping:
                yield [_failed(task, work, pending, error)]


def refuse_several(fits: Sequence[Fit]) -> None:
    """Refuse trainings by several processes.

    Raises:
        SpecError: If there is one.
    """
    several = [fit.workers for fit in fits if fit.workers > 1]
    if several:
        raise SpecError(
            f"training.workers: got {several[0]}; allowed with the executor inline, which has one "
            "process: 1; take the executor ray"
        )


def _failed(
    task: SetupPoints, work: Work, pending: dict[str, Point], error: Exception | None
) -> TrialRecord:
    """The record of the first trial that gave none; it leaves `pending`."""
    point = pending.pop(next(iter(pending)))
    if error is None:
        failure = Failure("error", "RuntimeError", "the worker returned no record of this trial")
    else:
        failure = Failure("error", type(error).__name__, str(error))
    return work.failed(task.setup, point, failure)


def _open(work: Work, assets: Mapping[str, object]) -> Worker:
    try:
        return work.open(assets.__getitem__)
    except CampaignError:
        raise
    except Exception as error:
        raise SetupError(
            f"this process cannot run trials: {type(error).__name__}: {error}"
        ) from error

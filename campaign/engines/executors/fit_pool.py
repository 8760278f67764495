"""The driver's share in trainings on a cluster: start what fits, hear it, free its trials."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from campaign.engines.executors.base import Failure, Work
from campaign.engines.executors.causes import Died, Raised
from campaign.engines.executors.fits import Fit, FitOutcome, waiting
from campaign.engines.executors.lease import LeaseQueue
from campaign.errors import SetupError
from campaign.records import TrialRecord

if TYPE_CHECKING:
    from campaign.engines.executors.ray import RayCluster
    from campaign.engines.executors.ray_fits import RayFit

PLACE_SECONDS = 600.0
"""How long a joined cluster that has no room may take to grow."""


@dataclass(eq=False)
class _Running:
    """A training under way."""

    fit: Fit
    remote: RayFit
    stream: Any


class FitPool:
    """Trainings of one run; each holds resources of its own beside those of workers.

    Where more than one fits the cluster, room for one is left to trials as long as there are any.

    Args:
        cluster: Where they run.
        fits: The trainings, of one size, with the trials that wait for them.
        queue: Where their trials go once they have ended.
        work: Makes the records of trials whose training failed.
        max_attempts: Deaths of its process after which a training is given up.
    """

    def __init__(
        self,
        cluster: RayCluster,
        fits: Sequence[Fit],
        queue: LeaseQueue,
        work: Work,
        max_attempts: int,
    ) -> None:
        self._cluster, self._queue, self._work = cluster, queue, work
        self._waiting, self._running = deque(fits), list[_Running]()
        self._max_attempts = max_attempts
        self._cpus = fits[0].cpus if fits else 1
        self._workers = fits[0].workers if fits else 1
        self._gpus = cluster.gpus_of(fits[0].gpus) if fits else 0.0
        self._deaths: dict[str, int] = {}
        self._halted, self._begun = False, time.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether a training runs or is still to be run."""
        return bool(self._running or (self._waiting and not self._halted))

    @property
    def trials(self) -> int:
        """Trials that wait for a training."""
        return waiting([*self._waiting, *(held.fit for held in self._running)])

    def room(self) -> int:
        """How many workers the cluster holds beside the trainings that run and that are next."""
        held = 0
        if self.is_open:
            unfinished = len(self._running) + len(self._waiting)
            held = max(len(self._running), min(self._slots(), unfinished))
        return self._cluster.room(held * self._workers, self._cpus, self._gpus)

    def turn(self) -> Iterator[list[TrialRecord]]:
        """Start what has room and take news in; the rows of trials whose training failed.

        Raises:
            SetupError: If no node can ever hold a training.
        """
        while self._waiting and not self._halted and len(self._running) < self._slots():
            fit = self._waiting.popleft()
            remote = self._cluster.train(fit, self._gpus)
            self._running.append(_Running(fit, remote, remote.run()))
        for held in self._ready():
            yield from self._hear(held)

    def halt(self) -> None:
        """Ask every training, once, to end with its current epoch; begin none."""
        if not self._halted:
            self._halted = True
            for held in self._running:
                held.remote.stop()

    def abandon(self) -> None:
        """Give up what still runs; the same run goes on at the last epoch on disk."""
        for held in list(self._running):
            self._remove(held)
            held.fit.listener.ended(FitOutcome())

    def close(self) -> None:
        """End what still runs."""
        for held in self._running:
            held.remote.kill()
        self._running.clear()

    def _slots(self) -> int:
        most = self._cluster.fit_room(self._cpus, self._gpus) // self._workers
        late = time.monotonic() - self._begun > PLACE_SECONDS
        if most == 0 and (self._cluster.local or late):
            raise SetupError(
                f"no node of the Ray cluster has room for a training of {self._size()}; all of it "
                f"has {self._cluster.inventory()}; lower training.cpus or training.gpus"
                + " or training.workers"
                * (self._workers > 1)
            )
        return most - 1 if most > 1 and self._queue.queued else most

    def _size(self) -> str:
        each = f"{self._cpus} CPUs and {self._gpus:g} GPUs"
        return each if self._workers == 1 else f"{self._workers} workers with {each} each"

    def _ready(self) -> list[_Running]:
        streams = {held.stream: held for held in self._running}
        return [streams[key] for key in self._cluster.ready(list(streams), 0.0)] if streams else []

    def _hear(self, held: _Running) -> Iterator[list[TrialRecord]]:
        news = held.remote.next_news(held.stream)
        if isinstance(news, Died):
            yield from self._died(held, news)
        elif isinstance(news, Raised):
            failure = Failure("error", news.kind, news.text)
            yield from self._ended(held, FitOutcome(failure=failure))
        elif isinstance(news, FitOutcome):
            yield from self._ended(held, news)
        elif news is not None:
            held.fit.listener.epoch(news)

    def _died(self, held: _Running, death: Died) -> Iterator[list[TrialRecord]]:
        """Its process is gone: go on at the last epoch elsewhere, unless it dies each time."""
        deaths = self._deaths[held.fit.key] = self._deaths.get(held.fit.key, 0) + 1
        if deaths >= self._max_attempts and not death.preempted and not self._halted:
            status = "oom" if death.memory else "crashed"
            text = f"its training died {deaths} times: {death.text}"
            yield from self._ended(held, FitOutcome(failure=Failure(status, death.kind, text)))
            return
        self._remove(held)
        if not self._halted:
            self._waiting.appendleft(held.fit)

    def _ended(self, held: _Running, outcome: FitOutcome) -> Iterator[list[TrialRecord]]:
        self._remove(held)
        held.fit.listener.ended(outcome)
        if outcome.failure is not None:
            yield from held.fit.failed_rows(self._work, outcome.failure)
        elif outcome.value is not None:
            self._cluster.publish(held.fit.key, outcome.value)
            self._queue.add(held.fit.tasks)

    def _remove(self, held: _Running) -> None:
        self._running.remove(held)
        held.remote.kill()

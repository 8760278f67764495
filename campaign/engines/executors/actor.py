"""What runs in a worker process; it knows nothing of how it is called."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from campaign.engines.executors.base import Work, Worker
from campaign.engines.executors.gather import gather
from campaign.records import TrialRecord
from campaign.spec.grid import Point, Setup


class TrialActor:
    """One warm worker that runs batches in turn and can be stopped between two trials.

    Args:
        work: What the worker is made from.
        assets: Key -> reference of a shared value.
        fetch: Turns a reference into its value.
    """

    def __init__(
        self, work: Work, assets: Mapping[str, object], fetch: Callable[[object], object]
    ) -> None:
        self._work, self._assets, self._fetch = work, assets, fetch
        self._stopping = threading.Event()
        self._worker: Worker | None = None

    def open(self) -> None:
        """Make the worker; whatever that raises goes to the driver."""
        self._worker = self._work.open(lambda key: self._fetch(self._assets[key]))

    def run(
        self, setup: Setup, points: Sequence[Point], attempt: int, seconds: float
    ) -> Iterator[list[TrialRecord]]:
        """Rows in micro-batches, until the points or the seconds are used up or `stop` is called.

        The first trial, which may prepare the setup, does not count towards `seconds`. So a batch
        that was sized by quick trials and meets slow ones does not keep idle workers waiting.
        """
        if self._worker is None:
            raise RuntimeError("run was called before open; call open first")
        ends = float("inf")

        def timed() -> Iterator[TrialRecord]:
            nonlocal ends
            for record in worker.trials(setup, points, attempt):
                ends = min(ends, time.monotonic() + seconds)
                yield record

        worker = self._worker
        yield from gather(timed(), lambda: self._stopping.is_set() or time.monotonic() >= ends)

    def stop(self) -> None:
        """End the running batch after its current trial, and begin no other."""
        self._stopping.set()

    def ping(self) -> None:
        """Answer, to show that the process lives."""

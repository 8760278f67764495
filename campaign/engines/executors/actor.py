"""What runs in a worker process; it knows nothing of how it is called."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from campaign.engines.executors.base import Sharer, Work, Worker
from campaign.engines.executors.fits import FitOutcome, FitWork, outcome_of
from campaign.engines.executors.gather import gather
from campaign.records import TrialRecord
from campaign.spec.grid import Point, Setup

ANSWERS_SECONDS = 30.0
"""How long what another worker has answered is waited for; then the setup is prepared anew."""


class TrialActor:
    """One warm worker that runs batches in turn and can be stopped between two trials.

    Args:
        work: What the worker is made from.
        assets: Key -> reference of a shared value.
        fetch: Turns a reference into its value, within so many seconds; None is as long as it
            takes.
    """

    def __init__(
        self,
        work: Work,
        assets: Mapping[str, object],
        fetch: Callable[[object, float | None], object],
    ) -> None:
        self._work, self._assets, self._fetch = work, dict(assets), fetch
        self._answers = ""
        self._stopping = threading.Event()
        self._worker: Worker | None = None

    def open(self) -> None:
        """Make the worker; whatever that raises goes to the driver."""
        self._worker = self._work.open(self._asset)

    def run(
        self,
        setup: Setup,
        points: Sequence[Point],
        attempt: int,
        seconds: float,
        late: Mapping[str, object] | None = None,
    ) -> Iterator[list[TrialRecord]]:
        """Rows in micro-batches, until the points or the seconds are used up or `stop` is called.

        `late` are references of shared values that the setup needs and that may be younger than
        this worker; what another worker has answered is held no longer than the batch, and waited
        for no longer than `ANSWERS_SECONDS`: its process may hang.

        The first trial, which may prepare the setup, does not count towards `seconds`. So a batch
        that was sized by quick trials and meets slow ones does not keep idle workers waiting.
        """
        if self._worker is None:
            raise RuntimeError("run was called before open; call open first")
        self._assets.update(late or {})
        self._answers = setup.answers_asset
        ends = float("inf")

        def timed() -> Iterator[TrialRecord]:
            nonlocal ends
            for record in worker.trials(setup, points, attempt):
                ends = min(ends, time.monotonic() + seconds)
                yield record

        worker = self._worker
        try:
            yield from gather(timed(), lambda: self._stopping.is_set() or time.monotonic() >= ends)
        finally:
            self._assets.pop(setup.answers_asset, None)

    def _asset(self, key: str) -> object:
        return self._fetch(self._assets[key], ANSWERS_SECONDS if key == self._answers else None)

    def share(self, setup_id: str) -> object | None:
        """What spares another worker of preparing a setup, None where there is nothing."""
        return self._worker.share(setup_id) if isinstance(self._worker, Sharer) else None

    def stop(self) -> None:
        """End the running batch after its current trial, and begin no other."""
        self._stopping.set()

    def ping(self) -> None:
        """Answer, to show that the process lives."""


class FitActor:
    """One training in a process of its own, which can be stopped.

    Args:
        work: The training.
    """

    def __init__(self, work: FitWork) -> None:
        self._work, self._stopping = work, threading.Event()

    def run(self) -> Iterator[object]:
        """The metrics of each epoch as it ends, and the `FitOutcome` last."""
        news: queue.SimpleQueue[object] = queue.SimpleQueue()

        def train() -> None:
            news.put(outcome_of(self._work, news.put, self._stopping.is_set))

        threading.Thread(target=train, name="training", daemon=True).start()
        while True:
            item = news.get()
            yield item
            if isinstance(item, FitOutcome):
                return

    def stop(self) -> None:
        """End after the current epoch, or in it where that takes long."""
        self._stopping.set()

"""What the driver tells while trials run: the tracker its curves, the folder a sign of life."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from campaign.errors import CampaignError
from campaign.runner.live import SignOfLife
from campaign.runner.report import curves_of
from campaign.runner.trials import trials_of

if TYPE_CHECKING:
    from campaign.analysis.sequential import Precision
    from campaign.engines.stores.parquet import ParquetStore
    from campaign.engines.trackers.background import BackgroundTracker
    from campaign.engines.trackers.base import Ending

TELL_EVERY = 15.0
"""Seconds between two updates of the tracker, at least."""
LAST_WORD_OF_A_CRASH = 20.0
"""Seconds that the tracker is waited for where the driver itself fails."""


class Telling:
    """Updates while trials run, those of the tracker at a twentieth of the time at most.

    As a context, it tells the tracker how a run stands that ends by an exception.
    """

    def __init__(
        self, tracker: BackgroundTracker, store: ParquetStore, precision: Precision | None
    ) -> None:
        self.tracker, self.store, self.precision = tracker, store, precision
        self._life = SignOfLife(store.folder)
        self._told, self._cost = time.monotonic(), 0.0

    def __enter__(self) -> Telling:
        self._life.tell({})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._life.end()
        if kind is not None and self.tracker.uri:
            ending: Ending = "FAILED" if issubclass(kind, Exception) else "KILLED"
            self.tracker.finish(ending, timeout=LAST_WORD_OF_A_CRASH)

    def now_and_then(self, status: Mapping[str, object]) -> None:
        """Tell, if it was long enough ago; `status` is what the executor says of itself."""
        self._life.tell(status)
        now = time.monotonic()
        if self.tracker.uri and now - self._told >= max(TELL_EVERY, 20 * self._cost):
            try:
                self.tracker.log(curves_of(trials_of(self.store), self.precision))
            except CampaignError as error:
                self.tracker.trouble = str(error)
            self._told = time.monotonic()
            self._cost = self._told - now

"""What the tracker is told while trials run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from campaign.errors import CampaignError
from campaign.runner.report import curves_of

if TYPE_CHECKING:
    from campaign.analysis.sequential import Precision
    from campaign.engines.stores.parquet import ParquetStore
    from campaign.engines.trackers.background import BackgroundTracker

TELL_EVERY = 15.0
"""Seconds between two updates of the tracker, at least."""


class Telling:
    """Updates of the tracker while trials run, at a twentieth of the time at most."""

    def __init__(
        self, tracker: BackgroundTracker, store: ParquetStore, precision: Precision | None
    ) -> None:
        self.tracker, self.store, self.precision = tracker, store, precision
        self._told, self._cost = time.monotonic(), 0.0

    def now_and_then(self) -> None:
        """Tell, if it was long enough ago."""
        now = time.monotonic()
        if self.tracker.uri and now - self._told >= max(TELL_EVERY, 20 * self._cost):
            try:
                self.tracker.log(curves_of(self.store.read(), self.precision))
            except CampaignError as error:
                self.tracker.trouble = str(error)
            self._told = time.monotonic()
            self._cost = self._told - now

"""A tracker on its own thread: the driver never waits for it, and its errors are a line."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from campaign.engines.trackers.base import Ending, Tracker, TrainingCurve
from campaign.engines.trackers.client import one_line
from campaign.errors import CampaignError

if TYPE_CHECKING:
    import pandas as pd

ATTEMPTS = 3
PAUSE_SECONDS = 1.0


class _End(NamedTuple):
    ending: Ending
    artifacts: Sequence[Path]


class BackgroundTracker:
    """Passes the newest curves on to `tracker`, one call at a time, on a daemon thread.

    States that come while the tracker is busy replace each other; a state that failed is tried
    again with the next one. Nothing is raised: `trouble` says in a line what went wrong last, and
    is None again once the tracker has caught up. What MLflow imports, it imports on that thread.

    Args:
        tracker: Whose `log` and `finish` may be slow and may raise.
    """

    def __init__(self, tracker: Tracker) -> None:
        self.uri = tracker.uri
        self.trouble: str | None = None
        self._tracker = tracker
        self._news = threading.Condition()
        self._newest: pd.DataFrame | None = None
        self._trainings: dict[str, TrainingCurve] = {}
        self._end: _End | None = None
        self._thread: threading.Thread | None = None

    @property
    def lagging(self) -> bool:
        """Whether the tracker lacks what it was last told."""
        return self.trouble is not None

    def log(self, curves: pd.DataFrame) -> None:
        """Take `curves` (left unchanged by the caller from now on) and return at once."""
        with self._news:
            self._newest = curves
            self._wake()

    def train(self, curve: TrainingCurve) -> None:
        """Take the epochs of a training and return at once."""
        if self.uri:
            with self._news:
                self._trainings[curve.key] = curve
                self._wake()

    def finish(
        self, ending: Ending, artifacts: Sequence[Path] = (), *, timeout: float = 60.0
    ) -> None:
        """Pass on the rest and wait for it, at most `timeout` seconds; the last call."""
        with self._news:
            self._end = _End(ending, artifacts)
            thread = self._wake()
        thread.join(timeout)
        if thread.is_alive():
            self.trouble = f"not done after {timeout:g} seconds" + (
                f"; before that: {self.trouble}" if self.trouble else ""
            )

    def _wake(self) -> threading.Thread:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="tracker", daemon=True)
            self._thread.start()
        self._news.notify()
        return self._thread

    def _work(self) -> None:
        untold: pd.DataFrame | None = None
        trained: dict[str, TrainingCurve] = {}
        end: _End | None = None
        while end is None:
            with self._news:
                self._news.wait_for(self._has_news)
                newest, self._newest, end = self._newest, None, self._end
                trained, self._trainings = {**trained, **self._trainings}, {}
            untold = untold if newest is None else newest
            for attempt in range(1 if end is None else ATTEMPTS):
                time.sleep(PAUSE_SECONDS if attempt else 0)
                self.trouble = self._trouble_of(untold, trained, end)
                if self.trouble is None:
                    untold, trained = None, {}
                    break

    def _has_news(self) -> bool:
        return self._newest is not None or bool(self._trainings) or self._end is not None

    def _trouble_of(
        self,
        curves: pd.DataFrame | None,
        trained: dict[str, TrainingCurve],
        end: _End | None,
    ) -> str | None:
        try:
            for training in trained.values():
                self._tracker.train(training)
            if curves is not None:
                self._tracker.log(curves)
            if end is not None:
                self._tracker.finish(*end)
        except CampaignError as error:
            return str(error)
        except Exception as error:  # a tracker must never cost a trial
            return one_line(error)
        return None

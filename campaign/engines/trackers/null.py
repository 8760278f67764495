"""The tracker of a campaign that tells nobody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.engines.trackers.base import Ending, TrainingCurve

if TYPE_CHECKING:
    import pandas as pd


class NullTracker:
    """Forgets all it is told."""

    uri = ""

    def log(self, curves: pd.DataFrame) -> None:
        """Do nothing."""

    def train(self, curve: TrainingCurve) -> None:
        """Do nothing."""

    def finish(self, ending: Ending, artifacts: Sequence[Path] = ()) -> None:
        """Do nothing."""

"""Curves in MLflow: an experiment and a parent run a campaign, a child run a curve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.engines.trackers.base import CampaignInfo, Ending, TrainingCurve
from campaign.engines.trackers.client import told_in_a_line
from campaign.engines.trackers.pending import contradicts, due, has_moved
from campaign.engines.trackers.place import TrackingStore, redacted
from campaign.engines.trackers.points import CurveRun, Values, curve_runs, digest, ladder
from campaign.engines.trackers.runs import CampaignRuns
from campaign.errors import SetupError

if TYPE_CHECKING:
    import pandas as pd

MOST_CURVES = 5000
"""Above this MLflow's pages take minutes to sort."""


class MlflowTracker:
    """Keeps the runs of a campaign like its rows; whatever MLflow did is found and continued.

    Nothing is imported or connected before the first call. Every method raises SetupError, with
    one line and without passwords, where MLflow cannot be reached or refuses, and can then be
    called again.

    Args:
        info: The campaign.
        store: Where MLflow keeps it, from `tracking_store`.
    """

    def __init__(self, info: CampaignInfo, store: TrackingStore) -> None:
        self.info, self.store = info, store
        self.uri = redacted(store.uri)
        self._runs: CampaignRuns | None = None
        self._steps: Sequence[float] = ()
        self._curves: dict[str, CurveRun] = {}

    def log(self, curves: pd.DataFrame) -> None:
        """Tell the points that are new, have doubled their trials, or have settled."""
        seen, self._curves = self._curves, self._read(curves)
        with self._open() as runs:
            runs.set_status(runs.parent, "RUNNING")
            for curve_id, curve in self._curves.items():
                before = seen[curve_id].values if curve_id in seen else {}
                self._tell(runs, curve_id, curve, before)

    def train(self, curve: TrainingCurve) -> None:
        """Keep a run for the training, below that of the campaign."""
        params = {key: text for key, text in curve.params.items() if text}
        finite = {key: value for key, value in curve.values.items() if math.isfinite(value)}
        told = CurveRun(f"training · {curve.name}", params, finite)
        with self._open() as runs:
            run = runs.curve(f"training-{curve.key[:16]}", told)
            if run.state != digest(finite):
                runs.write(run, finite, params)

    def finish(self, ending: Ending, artifacts: Sequence[Path] = ()) -> None:
        """Tell every point as last logged, attach files, and say how every run stands."""
        with self._open() as runs:
            for curve_id, curve in self._curves.items():
                self._tell(runs, curve_id, curve, None)
            for path in artifacts:
                runs.attach(path)
            for run in (*runs.curves.values(), runs.parent):
                runs.set_status(run, ending)

    def sync(self, curves: pd.DataFrame, ending: Ending, artifacts: Sequence[Path] = ()) -> int:
        """Make MLflow say what `curves` say, whatever it said before; twice is as once.

        Returns:
            How many curves there are.
        """
        self._curves = self._read(curves)
        self.finish(ending, artifacts)
        return len(self._curves)

    @contextmanager
    def _open(self) -> Iterator[CampaignRuns]:
        with told_in_a_line(self.store.uri):
            runs = self._runs or CampaignRuns(self.info, self.store)
            self._runs = None  # stays so after an error: what was known is then doubtful
            yield runs
            self._runs = runs

    def _read(self, frame: pd.DataFrame) -> dict[str, CurveRun]:
        with told_in_a_line(self.store.uri):
            self._steps = ladder(frame, self.info.bers)
            curves = curve_runs(frame, self._steps)
        if len(curves) > MOST_CURVES:
            raise SetupError(
                f"the campaign has {len(curves)} curves; MLflow is usable up to {MOST_CURVES} runs "
                "in an experiment; split the campaign or set output.mlflow: false"
            )
        return curves

    def _tell(
        self, runs: CampaignRuns, curve_id: str, curve: CurveRun, seen: Values | None
    ) -> None:
        """Write what is due of a curve: all of it where `seen` is None."""
        run = runs.curve(curve_id, curve)
        if run.state == digest(curve.values):
            return
        told = runs.told(run)
        final = seen is None
        if has_moved(told, self._steps) or (final and contradicts(curve.values, told)):
            runs.drop(curve_id)
            run = runs.curve(curve_id, curve)
        values = due(curve.values, runs.told(run), seen)
        if values:
            runs.set_status(run, "RUNNING")
            runs.write(run, values, curve.params)

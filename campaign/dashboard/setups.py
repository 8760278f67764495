"""The points of a setup's curve, made anew only where its rows have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from campaign.analysis.curves import curves_of
from campaign.analysis.page.outcomes import CLASSES, outcomes
from campaign.analysis.rows import CURVE_KEYS, VARIANT_KEYS
from campaign.analysis.sequential import Precision
from campaign.analysis.statistics import LEVEL, IntervalName
from campaign.dashboard.rows import KEPT, KEYS, Snapshot
from campaign.records import column_types


@dataclass(frozen=True)
class SetupCurve:
    """One setup with its curve as it stands.

    Args:
        setup_id: As in the rows.
        keys: The columns of `CURVE_KEYS`; ``t`` is None where the stack takes none.
        mark: Changes whenever rows are added.
        points: What `curves_of` gives, with the classes of `outcomes`.
        newest: When its last trial ended, seconds since the epoch.
    """

    setup_id: str
    keys: dict[str, Any]
    mark: tuple[int, int, float]
    points: pd.DataFrame
    newest: float

    @property
    def variant(self) -> str:
        """What sets the curves of a chart apart, as in the report."""
        return " · ".join(str(self.keys[k]) for k in VARIANT_KEYS)


class SetupCurves:
    """All setups of a folder.

    Args:
        interval: How intervals of means are made.
        precision: What decided how many trials there are, if anything did.
    """

    def __init__(self, interval: IntervalName, precision: Precision | None) -> None:
        self.interval, self.precision = interval, precision
        self.level = LEVEL if precision is None else precision.confidence
        self._held: dict[str, SetupCurve] = {}

    def of(self, snapshot: Snapshot) -> tuple[SetupCurve, ...]:
        """Every setup of the snapshot, by its id."""
        self._held = {
            setup_id: self._curve(setup_id, snapshot.setup(setup_id))
            for setup_id in sorted(snapshot.starts)
        }
        return tuple(self._held.values())

    def _curve(self, setup_id: str, rows: pa.Table) -> SetupCurve:
        ok = int(np.count_nonzero(pc.equal(rows["status"], pa.scalar("ok"))))
        newest = float(pc.max(rows["finished_at"]).as_py())
        mark, held = (len(rows), ok, newest), self._held.get(setup_id)
        if held is not None and held.mark == mark:
            return held
        keys = {name: rows[name][0].as_py() for name in CURVE_KEYS}
        trials = as_frame(rows, keys)
        points = curves_of(trials, self.interval, self.precision)
        points = with_classes(points, trials)
        return SetupCurve(setup_id, keys, mark, points, newest)


def with_classes(points: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The points with the columns `CLASSES` of their trials."""
    classes = outcomes(trials)
    return points.assign(**{name: classes[name].to_numpy() for name in CLASSES})


def as_frame(rows: pa.Table, keys: dict[str, Any]) -> pd.DataFrame:
    """Rows of one setup as `campaign.analysis` takes them: numbers as floats but for the seed."""
    kinds = column_types()
    columns: dict[str, Any] = {}
    for name in KEPT:
        text = kinds[name] == "str" or name == "seed"
        values = rows[name].to_pandas()
        columns[name] = values if text else values.to_numpy(float, na_value=np.nan)
    known = {key: keys[key] for key in CURVE_KEYS if key in KEYS}
    return pd.DataFrame(columns).assign(**known)

"""Curves as MLflow shows them: a name, parameters, and metrics stepped by bit error rate."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[str, int]
"""Metric and step."""
Values = dict[Key, float]
Row = Mapping[str, object]

AXES = (
    "model",
    "dataset",
    "dtype",
    "method",
    "t",
    "train_seed",
    "nonfinite",
    "fault",
    "targets",
)
NEEDED = ("model", "dtype", "method", "ber")
POINT_METRICS = (
    "top1_mean",
    "top1_low",
    "top1_high",
    "top1_sd",
    "top5_mean",
    "flipped_bits_mean",
    "sdc_rate",
    "nonfinite_rate",
    "n_trials",
    "n_failed",
    "estimated",
    "images",
    "ber",
)
SUMMARY_COLUMNS = {"ber_at_1pt": "ber_at_1pt_drop", "ber_at_5pt": "ber_at_5pt_drop"}
SUMMARY_METRICS = frozenset({"clean_top1", *SUMMARY_COLUMNS.values()})
LONGEST_PARAMETER = 500


@dataclass(frozen=True)
class CurveRun:
    """One curve as one MLflow run.

    Args:
        name: Such as ``resnet20 · fp32 · weight_scaling · t=2``.
        params: The axes that the curve has a value on.
        values: Finite values by metric and step; those of the whole curve are at step 0.
    """

    name: str
    params: dict[str, str]
    values: Values = field(default_factory=dict)


def ladder(frame: pd.DataFrame, bers: Sequence[float]) -> tuple[float, ...]:
    """The bit error rates in the order of their steps: 0 first, then those of grid and rows.

    Example:
        >>> import pandas as pd
        >>> ladder(pd.DataFrame({"ber": [1e-4]}), [1e-3, 1e-5])
        (0.0, 1e-05, 0.0001, 0.001)
    """
    rows = () if frame.empty else frame["ber"]
    return tuple(sorted({0.0, *map(float, bers), *map(float, rows)}))


def curve_runs(frame: pd.DataFrame, steps: Sequence[float]) -> dict[str, CurveRun]:
    """Every curve of `frame`, by its id (a hash of its axes).

    Args:
        frame: One row for each curve and bit error rate. Columns other than `NEEDED` may lack;
            ``ber_at_1pt`` and ``ber_at_5pt`` are constant within a curve.
        steps: The bit error rates by step, as `ladder` gives them.

    Raises:
        ValueError: If a column of `NEEDED` lacks.
    """
    if frame.empty:
        return {}
    missing = [column for column in NEEDED if column not in frame.columns]
    if missing:
        raise ValueError(f"curves lack the columns {missing}; got {list(frame.columns)}")
    step_of = {ber: step for step, ber in enumerate(steps)}
    curves: dict[str, CurveRun] = {}
    rows: list[dict[str, object]] = [
        {str(column): value for column, value in row.items()} for row in frame.to_dict("records")
    ]
    for row in rows:
        params = {axis: text for axis in AXES if (text := _parameter(row.get(axis)))}
        curve = curves.setdefault(_digest(params), CurveRun(_name(row), params))
        curve.values.update(_point(row, step_of[_ber(row)]))
    return curves


def flatten(spec: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """A nested spec as parameters: dotted names, short texts, nothing that is empty.

    Example:
        >>> flatten({"grid": {"ber": [0.0, 1e-6], "t": None}, "name": "demo"})
        {'grid.ber': '0.0, 1e-06', 'name': 'demo'}
    """
    flat: dict[str, str] = {}
    for key, value in spec.items():
        name = prefix + re.sub(r"[^\w.\- :/]", "_", str(key))
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        elif text := _text(value):
            short = text if len(text) <= LONGEST_PARAMETER else f"{text[: LONGEST_PARAMETER - 2]} …"
            flat[name[:250]] = short
    return flat


def digest(values: Values) -> str:
    """Fingerprint of all values of a curve."""
    return _digest(sorted((metric, step, value) for (metric, step), value in values.items()))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _text(value: object) -> str:
    if isinstance(value, range) and value.step == 1 and value:
        return f"{value[0]} .. {value[-1]}"
    if isinstance(value, list | tuple | range):
        if any(isinstance(item, Mapping | list | tuple) for item in value):
            return json.dumps(value, default=str, ensure_ascii=False)
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)


def _ber(row: Row) -> float:
    ber = row["ber"]
    if not isinstance(ber, int | float) or not 0 <= ber <= 1:
        raise ValueError(f"curves: column ber: got {ber!r}; allowed: a probability in [0, 1]")
    return float(ber)


def _parameter(value: object) -> str:
    if isinstance(value, int | float):
        return f"{float(value):.15g}" if math.isfinite(value) else ""
    return value if isinstance(value, str) else ""


def _name(row: Row) -> str:
    parts = [str(row["model"]), str(row["dtype"]), str(row["method"])]
    t, policy = row.get("t"), _parameter(row.get("nonfinite"))
    parts += [f"t={float(t):g}"] if isinstance(t, int | float) and math.isfinite(t) else []
    seed = _parameter(row.get("train_seed"))
    parts += [f"train_seed={seed}"] if seed else []
    return " · ".join([*parts, policy] if policy not in ("", "propagate") else parts)


def _point(row: Row, step: int) -> Values:
    ber = _ber(row)
    values: dict[Key, object] = {(metric, step): row.get(metric) for metric in POINT_METRICS}
    values |= {(name, 0): row.get(column) for column, name in SUMMARY_COLUMNS.items()}
    if ber > 0:
        values["log10_ber", step] = math.log10(ber)
    else:
        values["clean_top1", 0] = row.get("top1_mean")
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }

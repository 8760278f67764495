"""One campaign as the page shows it: an unchanging picture, made anew when rows come."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from campaign.analysis.labels import curve_key
from campaign.analysis.order import Order
from campaign.analysis.page.data import style_data
from campaign.analysis.page.palette import rules
from campaign.analysis.rows import METRIC_NAMES, Metric
from campaign.analysis.styles import Protection, line_styles
from campaign.dashboard.rows import Snapshot
from campaign.dashboard.setups import SetupCurve
from campaign.text import t_text

SHARES = ("mean", "low", "high", "sd", "median", "q05", "q95")
COUNTS = {
    "trials": "n_trials",
    "failed": "n_failed",
    "flips": "flipped_bits_mean",
    "images": "n_samples",
}
NO_T = "none"
"""How the filter calls curves without a weight-scaling target."""


class Filter(NamedTuple):
    """What of a campaign is to be shown; an empty tuple of methods or targets means all."""

    metric: Metric = "top1"
    model: str = ""
    dtype: str = ""
    variant: str = ""
    methods: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """A campaign at one moment.

    Args:
        folder: Its results folder.
        overview: Name, state, counts and pace, as JSON.
        details: Setups, workers, failures and warnings, as JSON.
        curves: Every setup that has rows, all trainings of a method together.
        snapshot: The rows behind them.
        order: In which order the spec names models and number formats.
        level: Nominal coverage of the intervals.
        planned: Methods and targets that the spec asks for; they have a colour from the start.
        run_code: Models that are built by code that is not ours.
    """

    folder: Path
    overview: dict[str, Any]
    details: dict[str, Any]
    curves: tuple[SetupCurve, ...]
    snapshot: Snapshot
    order: Order
    level: float = 0.95
    planned: tuple[Protection, ...] = ()
    run_code: frozenset[str] = frozenset()

    def chart(self, wanted: Filter) -> dict[str, Any]:
        """The curves that pass the filter, and what there is to choose from.

        Model, number format and variant are one each; a choice that was never run moves to the
        first that was, and where none of the wanted methods or targets was run, all are shown. The
        colour of a method is the same whatever is filtered, and whatever is still to come.
        """
        styles = line_styles([*self.planned, *(_protection(c) for c in self.curves)])
        model = _nearest(wanted.model, self.order.of_models(c.keys["model"] for c in self.curves))
        here = [c for c in self.curves if c.keys["model"] == model]
        dtype = _nearest(wanted.dtype, self.order.of_dtypes(c.keys["dtype"] for c in here))
        here = [c for c in here if c.keys["dtype"] == dtype]
        variant = _nearest(wanted.variant, sorted({c.variant for c in here}))
        here = [c for c in here if c.variant == variant]
        methods = list(dict.fromkeys(m for m, _ in styles if any(_has(c, m) for c in here)))
        targets = [t_name(t) for t in sorted({_protection(c)[1] for c in here}, key=_t_order)]
        only = [name for name in methods if name in wanted.methods] or methods
        only_t = [name for name in targets if name in wanted.targets] or targets
        shown = [c for c in here if _passes(c, only, only_t)]
        bers = sorted({float(b) for c in shown for b in c.points["ber"] if b > 0})
        facets = {
            "model": self.order.of_models(c.keys["model"] for c in self.curves),
            "dtype": self.order.of_dtypes(c.keys["dtype"] for c in self.curves),
            "variant": sorted({c.variant for c in self.curves}),
            "method": methods,
            "t": targets,
        }
        return {
            "metric": wanted.metric,
            "metric_name": METRIC_NAMES[wanted.metric],
            "chosen": {
                **{"model": model, "dtype": dtype, "variant": variant},
                **{"method": only, "t": only_t},
            },
            "facets": facets,
            "level": self.level,
            "styles": [style_data(protection, style) for protection, style in styles.items()],
            "css": rules(styles),
            "bers": bers,
            "curves": [_curve(c, wanted.metric, bers, list(styles)) for c in shown],
        }


def t_name(t: float | None) -> str:
    """A weight-scaling target as the filter has it."""
    return NO_T if t is None else t_text(t)


def _t_order(t: float | None) -> float:
    return -math.inf if t is None else t


def _nearest(wanted: str, known: Sequence[str]) -> str:
    return wanted if wanted in known or not known else known[0]


def _has(curve: SetupCurve, method: str) -> bool:
    return bool(curve.keys["method"] == method)


def _passes(curve: SetupCurve, methods: Sequence[str], targets: Sequence[str]) -> bool:
    method, t = _protection(curve)
    return method in methods and t_name(t) in targets


def _protection(curve: SetupCurve) -> Protection:
    t = curve.keys["t"]
    return str(curve.keys["method"]), None if t is None else float(t)


def _curve(
    curve: SetupCurve, metric: Metric, bers: list[float], styles: list[Protection]
) -> dict[str, Any]:
    """One curve in the form of the report's page: places in lists, null for what is not known."""
    points = curve.points[curve.points["ber"] > 0]
    cells: dict[str, list[Any]] = {"ber": [bers.index(ber) for ber in points["ber"]]}
    cells |= {name: _numbers(points[f"{metric}_{name}"]) for name in SHARES}
    cells |= {name: _numbers(points[column]) for name, column in COUNTS.items()}
    cells |= {name: _numbers(points[name]) for name in ("masked", "benign", "sdc", "due")}
    if "stop" in points:
        cells["stop"] = points["stop"].astype(str).tolist()
    return {
        "setup": curve.setup_id,
        "model": 0,
        "dtype": 0,
        "variant": 0,
        "style": styles.index(_protection(curve)),
        "name": f"{curve_key(curve.keys)} {curve.setup_id}",
        "training": curve.keys["train_seed"],
        "trainings": int(points["n_trainings"].max()) if "n_trainings" in points else 1,
        "clean": _numbers(curve.points[f"{metric}_clean"].iloc[:1])[0],
        "cells": cells,
    }


def _numbers(column: Any) -> list[float | None]:  # noqa: ANN401 - a pandas Series
    return [value if math.isfinite(value) else None for value in map(float, column)]


def blank(folder: Path, state: str, problem: str | None = None) -> dict[str, Any]:
    """The overview of a campaign that has not been read yet, or cannot be."""
    return {
        "id": folder.name,
        "name": folder.name,
        "folder": str(folder),
        "state": state,
        "problem": problem,
        "total": 0,
        "ok": 0,
        "failed": 0,
        "rows": 0,
        "pace": {"trials": None, "images": None, "eta": None},
        "live": None,
        "silent": None,
        "newest": None,
        "read": time.time(),
    }

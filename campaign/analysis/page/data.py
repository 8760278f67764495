"""The numbers of the page as JSON: cells and curves, never rows."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from campaign.analysis.labels import curve_key, method_label
from campaign.analysis.page.outcomes import CLASSES
from campaign.analysis.page.subject import Subject
from campaign.analysis.rows import CURVE_KEYS, VARIANT_KEYS, numbered
from campaign.analysis.styles import Dash, Protection, Style, line_styles
from campaign.analysis.tolerance import DROPS, column_of

SHARE_DIGITS = 5
"""Decimals of a share: a thousandth of a point."""
RATE_DIGITS = 6
"""Significant digits of all other numbers."""
_COST = {
    "bits": "bits_per_weight",
    "total_bits": "total_bits_per_weight",
    "memory": "memory_overhead",
    "operations": "operations_overhead",
}


def styles_of(subject: Subject) -> dict[Protection, Style]:
    """One look for each protection, that of the figures."""
    pairs = subject.points.loc[subject.points["ber"] > 0, ["method", "t"]].drop_duplicates()
    return line_styles(_protection(row) for row in pairs.to_dict("records"))


def page_data(subject: Subject) -> dict[str, Any]:
    """All numbers that the charts of a page show.

    Returns:
        ``bers`` (above 0, ascending), ``models``, ``dtypes``, ``variants`` (what sets the curves
        of a figure apart), ``styles`` (one for each protection) and ``curves``. A curve names the
        others by place, has ``clean`` (share), ``maps``, ``trainings`` (over how many a mean goes),
        ``tolerated`` (for each drop its BER and interval, each a number, or a note that starts with
        a sign or a letter), ``cost`` (null where rows do not say) and ``cells``: for each column a
        list over the curve's points above BER 0, where ``ber`` is a place in ``bers``. Shares are
        rounded to `SHARE_DIGITS` decimals, other numbers to `RATE_DIGITS` digits; null is not
        known.
    """
    points = subject.points.assign(**{c: subject.outcomes[c].to_numpy() for c in CLASSES})
    faulty = points[points["ber"] > 0]
    styles = styles_of(subject)
    bers = sorted(set(faulty["ber"]))
    names = {
        "models": subject.order.of_models(faulty["model"].astype(str)),
        "dtypes": subject.order.of_dtypes(faulty["dtype"].astype(str)),
        "variants": sorted(set(_variant_names(faulty))),
    }
    known = _by_curve(subject)
    number = numbered(faulty, CURVE_KEYS)
    return {
        "metric": subject.metric,
        "metric_name": subject.metric_name,
        "interval": "bounded" if _is_estimate(subject) else subject.interval,
        "level": _level(subject),
        "bers": [_rate(ber) for ber in bers],
        **names,
        "styles": [style_data(key, style) for key, style in styles.items()],
        "curves": [
            _curve(part, subject, known, {**names, "styles": list(styles), "bers": bers})
            for _, part in faulty.groupby(number, sort=True)
        ],
    }


def as_json(data: Mapping[str, Any]) -> str:
    r"""JSON that can stand in a page: nothing in it ends a script element.

    Example:
        >>> print(as_json({"a": "</script>"}))
        {"a":"\u003c/script>"}
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _curve(
    part: pd.DataFrame,
    subject: Subject,
    known: Mapping[tuple[str, ...], Mapping[Hashable, Any]],
    names: Mapping[str, Sequence[Any]],
) -> dict[str, Any]:
    """One curve; `part` is its points above BER 0."""
    metric, first = subject.metric, part.to_dict("records")[0]
    row, seed = known[_key(first)], float(first["train_seed"])
    place = {ber: k for k, ber in enumerate(names["bers"])}
    shares = {name: f"{metric}_{name}" for name in ("mean", "low", "high", "sd", "median")}
    shares |= {name: f"{metric}_{name}" for name in ("q05", "q95")} | {c: c for c in CLASSES}
    counts = {"trials": "n_trials", "failed": "n_failed", "flips": "flipped_bits_mean"}
    counts["images"] = "n_samples"
    cells: dict[str, list[Any]] = {"ber": [place[ber] for ber in part["ber"]]}
    cells |= {name: [_share(v) for v in part[c].to_numpy(float)] for name, c in shares.items()}
    cells |= {name: [_rate(v) for v in part[c].to_numpy(float)] for name, c in counts.items()}
    if subject.estimated:
        cells["stop"] = part["stop"].astype(str).tolist()
    return {
        "model": names["models"].index(str(first["model"])),
        "dtype": names["dtypes"].index(str(first["dtype"])),
        "variant": names["variants"].index(_variant_names(part)[0]),
        "style": names["styles"].index(_protection(first)),
        "name": curve_key({str(k): first[k] for k in CURVE_KEYS}),
        "clean": _share(row["clean"]),
        "maps": int(row["n_seeds"]),
        "training": None if math.isnan(seed) else int(seed),
        "trainings": int(part["n_trainings"].max()) if "n_trainings" in part else 1,
        "tolerated": {column_of(drop): _tolerated(row, column_of(drop)) for drop in DROPS},
        "cost": _cost(row),
        "cells": cells,
    }


def _by_curve(subject: Subject) -> dict[tuple[str, ...], dict[Hashable, Any]]:
    """The summary of each curve with its cost, NaN where rows do not say."""
    columns = [*_COST.values(), "highest_ber", "lowest_ber", "front_of_dtype", "front_of_model"]
    merged = subject.summary.merge(subject.cost[[*CURVE_KEYS, *columns]], on=CURVE_KEYS, how="left")
    return {_key(row): row for row in merged.to_dict("records")}


def _key(row: Mapping[Hashable, Any]) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in CURVE_KEYS)


def _cost(row: Mapping[Hashable, Any]) -> dict[str, Any] | None:
    if math.isnan(row["bits_per_weight"]):
        return None
    return {
        **{name: _rate(row[column]) for name, column in _COST.items()},
        "front_of_dtype": bool(row["front_of_dtype"]),
        "front_of_model": bool(row["front_of_model"]),
    }


def _tolerated(row: Mapping[Hashable, Any], column: str) -> list[float | str | None]:
    ends = (f"{column}{end}" for end in ("", "_low", "_high"))
    return [row[f"{end}_note"] or _rate(row[end]) for end in ends]


def _variant_names(points: pd.DataFrame) -> list[str]:
    """What the figures of each point share, such as ``cifar10 · bit_flip · weights``."""
    return [" · ".join(map(str, row)) for row in points[VARIANT_KEYS].itertuples(index=False)]


def _protection(row: Mapping[Hashable, Any]) -> Protection:
    t = float(row["t"])
    return str(row["method"]), None if math.isnan(t) else t


def style_data(protection: Protection, style: Style) -> dict[str, Any]:
    """How a line looks and what it is called, for the page's scripts."""
    method, t = protection
    return {
        "method": method,
        "t": None if t is None else _rate(t),
        "label": method_label(method, t),
        "marker": style.marker,
        "dash": _dash(style.dash),
    }


def _dash(dash: Dash) -> str:
    """Matplotlib's dash, in line widths, as SVG's for lines of 1.6 px."""
    return "" if isinstance(dash, str) else " ".join(f"{1.6 * part:g}" for part in dash[1])


def _is_estimate(subject: Subject) -> bool:
    return subject.estimated and subject.metric == "top1"


def _level(subject: Subject) -> float:
    return float(subject.points["confidence"].iloc[0]) if _is_estimate(subject) else 0.95


def _share(value: float) -> float | None:
    return round(value, SHARE_DIGITS) if math.isfinite(value) else None


def _rate(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{RATE_DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded

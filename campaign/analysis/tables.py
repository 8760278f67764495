"""One row for each curve, as CSV for machines and as Markdown and LaTeX for people."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from campaign.analysis.curves import curves
from campaign.analysis.labels import percent
from campaign.analysis.markup import Cell, Column, Grid, Number, latex, markdown
from campaign.analysis.rows import (
    CURVE_KEYS,
    METRIC_NAMES,
    VARIANT_KEYS,
    Metric,
    as_trials,
    numbered,
)
from campaign.analysis.statistics import IntervalName
from campaign.analysis.tolerance import DROPS, column_of, tolerance_of
from campaign.text import rate_text, t_text

MOST_BERS = 5
"""Columns of means in the tables for people; the CSV has all."""
_MEAN = "mean_at_"
_CAPPED = "max_seeds_at"


def write_tables(
    rows: object, folder: Path, metric: Metric = "top1", *, interval: IntervalName = "bounded"
) -> list[Path]:
    """Write the summary of every curve, and all their points.

    Args:
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        folder: Where the files go; made where it is missing.
        metric: ``top1`` or ``top5``.
        interval: How the intervals of ``points.csv`` are made; see `statistics.mean_interval`.

    Returns:
        ``summary_<metric>.csv`` (what `summary` gives, shares, full precision), ``.md`` and
        ``.tex`` (needs ``booktabs``; percent, at most five BERs), ``points.csv`` (what
        `curves.curves` gives).

    Raises:
        CampaignError: If the rows cannot be analysed; see `rows.as_trials`.
    """
    points = curves(rows, interval=interval)
    return write_points(summary(rows, metric, points=points), points, folder, metric)


def write_points(
    table: pd.DataFrame, points: pd.DataFrame, folder: Path, metric: Metric
) -> list[Path]:
    """The same of what `summary` and `curves.curves` gave."""
    folder.mkdir(parents=True, exist_ok=True)
    written = write_grid(table, for_people(table, metric), folder / f"summary_{metric}")
    every = folder / "points.csv"
    every.write_text(_csv(points), encoding="utf-8", newline="\n")
    return [*written, every]


def write_grid(table: pd.DataFrame, grid: Grid, stem: Path) -> list[Path]:
    """Write a table for machines as CSV, and for people as Markdown and LaTeX."""
    texts = {".csv": _csv(table), ".md": markdown(grid), ".tex": latex(grid)}
    written = [stem.with_suffix(ending) for ending in texts]
    for path, text in zip(written, texts.values(), strict=True):
        path.write_text(text, encoding="utf-8", newline="\n")
    return written


def summary(
    rows: object, metric: Metric = "top1", *, points: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row for each curve, sorted.

    Args:
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        metric: ``top1`` or ``top5``.
        points: What `curves.curves` gave for these rows, where it is at hand.

    Returns:
        The columns of `CURVE_KEYS`, ``n_seeds``, ``n_failed`` (trials), ``clean`` (accuracy, a
        share), ``mean_at_<ber>`` for each BER above 0 (NaN where not run), the columns of
        `tolerance.tolerated_ber`, and ``overhead`` (check over stored bits). Where means were
        estimated to a wanted precision, ``max_seeds_at`` too: the BERs, with spaces between, whose
        mean is not as precise.
    """
    trials = as_trials(rows)
    points = curves(trials) if points is None else points
    return summary_of(points, tolerance_of(trials, metric=metric), metric)


def summary_of(points: pd.DataFrame, found: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """The same of what `curves.curves` and `tolerance.tolerance_of` gave."""
    points = points.assign(curve=numbered(points, CURVE_KEYS))
    groups = points.groupby("curve")
    columns = groups[[*CURVE_KEYS]].head(1).reset_index(drop=True)
    columns["n_failed"] = groups["n_failed"].sum()
    columns["clean"] = groups[f"{metric}_clean"].first()
    faulty = points[points["ber"] > 0]
    means = faulty.pivot(index="curve", columns="ber", values=f"{metric}_mean")
    columns = columns.join(means.rename(columns=lambda ber: f"{_MEAN}{float(ber)!r}"))
    columns["overhead"] = groups["overhead"].first()
    found = found.drop(columns=CURVE_KEYS)
    bers = [column for column in columns if str(column).startswith(_MEAN)]
    last = ["overhead"]
    if "estimated" in points:
        columns[_CAPPED] = [_capped(group) for _, group in groups]
        last.append(_CAPPED)
    return columns.join(found)[
        [*CURVE_KEYS, "n_seeds", "n_failed", "clean", *bers, *found.columns[1:], *last]
    ]


def _capped(points: pd.DataFrame) -> str:
    return " ".join(repr(float(ber)) for ber in points.loc[points["stop"] == "max_seeds", "ber"])


def for_people(table: pd.DataFrame, metric: Metric) -> Grid:
    """What `summary` gave, in percent, with what all curves share said once in the caption."""
    varied = [key for key in VARIANT_KEYS if table[key].nunique() > 1]
    trained = table["train_seed"].nunique() > 1
    columns = [
        Column(("Model",), numeric=False),
        Column(("dtype",), numeric=False),
        *(Column((key,), numeric=False) for key in varied),
        Column(("Method",), numeric=False),
        *([Column(("Training",))] if trained else []),
        *([Column(("t",))] if table["t"].notna().any() else []),
        Column(("Seeds",)),
        *([Column(("Failed",))] if table["n_failed"].any() else []),
        Column(("Clean",)),
        *(Column((Number(rate_text(ber)),), "Mean at BER", "at ") for ber in _bers(table)),
        *(Column((f"{100 * drop:.4g} pt drop",), "BER at", "BER at ") for drop in DROPS),
        Column(("Overhead",)),
    ]
    rows = [_cells(row, table, varied) for row in table.to_dict("records")]
    starts = np.flatnonzero((table["model"] != table["model"].shift()).to_numpy())
    ends = [*starts[1:], len(rows)]
    blocks = [rows[start:end] for start, end in zip(starts, ends, strict=True)]
    return Grid(_caption(table, metric, varied), columns, blocks)


def _cells(row: Mapping[Hashable, Any], table: pd.DataFrame, varied: list[str]) -> list[Cell]:
    """One row, in the order of the columns of `for_people`."""
    t = "-" if math.isnan(row["t"]) else Number(t_text(row["t"]))
    return [
        (row["model"],),
        (row["dtype"],),
        *((row[key],) for key in varied),
        (row["method"],),
        *([(training(row["train_seed"]),)] if table["train_seed"].nunique() > 1 else []),
        *([(t,)] if table["t"].notna().any() else []),
        (str(row["n_seeds"]),),
        *([(str(row["n_failed"]),)] if table["n_failed"].any() else []),
        (percent(row["clean"], 2),),
        *((_mean(row, ber),) for ber in _bers(table)),
        *(tolerated(row, column_of(drop)) for drop in DROPS),
        (percent(row["overhead"]),),
    ]


def training(seed: float) -> str:
    """The seed of a training; a dash where nothing was trained."""
    return "-" if math.isnan(seed) else f"{seed:.0f}"


def _mean(row: Mapping[Hashable, Any], ber: float) -> str:
    """The mean at a BER, with a mark where it is less precise than was wanted."""
    capped = repr(ber) in str(row.get(_CAPPED, "")).split()
    return percent(row[f"{_MEAN}{ber!r}"]) + "*" * capped


def tolerated(row: Mapping[Hashable, Any], column: str) -> Cell:
    """The BER in `column` with its interval, each a number or the limit that is known of it."""
    best, low, high = (
        _known(row[f"{column}{end}"], row[f"{column}{end}_note"]) for end in ("", "_low", "_high")
    )
    if isinstance(low, Number) and isinstance(high, Number) and low != high:
        return (best, " [", low, ", ", high, "]")
    return (best,)


def _known(ber: float, note: str) -> str:
    if note:
        return Number(note) if note[0] in "<>" else "-"
    return Number(rate_text(ber))


def _bers(table: pd.DataFrame) -> list[float]:
    """At most `MOST_BERS` of the BERs: whole decades if there are enough, evenly chosen."""
    every = [float(str(c).removeprefix(_MEAN)) for c in table if str(c).startswith(_MEAN)]
    decades = [ber for ber in every if f"{ber:e}".startswith("1.000000e")]
    every = decades if len(decades) >= 3 else every
    places = np.unique(np.linspace(0, len(every) - 1, min(MOST_BERS, len(every))).round())
    return [every[int(place)] for place in places]


def _caption(table: pd.DataFrame, metric: Metric, varied: list[str]) -> Cell:
    shared = [f"{key} {table[key].iloc[0]}" for key in VARIANT_KEYS if key not in varied]
    return (
        f"{METRIC_NAMES[metric].capitalize()} in %, mean over seeds at each bit error rate (BER); "
        "BER at which the mean has fallen by 1 and 5 points, interpolated between measured BERs, "
        "with 95 % bootstrap intervals over seeds (no allowance for fault maps not seen); outputs "
        "that are not finite count as wrong; overhead: check bits in % of stored bits. Intervals "
        "of the means stand in points.csv; a bootstrap interval there is the wider, bounded one "
        "where all seeds agree. "
        f"{_of_estimates(table, metric)}"
        f"Here: {', '.join(shared)}.",
    )


def _of_estimates(table: pd.DataFrame, metric: Metric) -> str:
    if _CAPPED not in table:
        return ""
    if metric != "top1":
        return "Each fault map was judged on a sample of the images. "
    marked = " (*: given up at max_seeds, wider than was wanted)" if table[_CAPPED].any() else ""
    return (
        "Means are estimated: each fault map was judged on a sample of the images, against the "
        "fault-free answers on the same ones, and maps were added until the interval, which allows "
        f"for fault maps not seen, was narrow enough{marked}. "
    )


def _csv(frame: pd.DataFrame) -> str:
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text

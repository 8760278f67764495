"""How much results differ between trainings, beside how much they differ between fault maps."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from campaign.analysis.labels import method_label, percent
from campaign.analysis.markup import Cell, Column, Grid, Number
from campaign.analysis.rows import METRIC_NAMES, POINT_KEYS, VARIANT_KEYS, Metric
from campaign.analysis.statistics import LEVEL
from campaign.analysis.tables import write_grid
from campaign.text import rate_text

KEYS = [key for key in POINT_KEYS if key != "train_seed"]
"""What all trainings of one point share."""


def trainings(points: pd.DataFrame, metric: Metric = "top1") -> pd.DataFrame:
    """One row for each point that several trainings have a result at.

    Args:
        points: What `curves.curves` gave: one row for each training and BER.
        metric: ``top1`` or ``top5``.

    Returns:
        The columns of `KEYS`, ``n_trainings``, ``n_trials``; as shares: ``mean`` (over trainings,
        each with the same weight), ``sd_trainings`` (of the true means of trainings: the variance
        of the means found, less what fault maps add to it; not below 0), ``sd_maps`` (of fault maps
        within one training, pooled; 0 at BER 0, where nothing is drawn), ``low`` and ``high`` (95 %
        interval of the mean over trainings to come: Student's t of the means found, within [0, 1]).
        NaN where a training has fewer than two fault maps.

    Source: Searle, Casella and McCulloch, Variance Components, 1992, chapter 3 (one-way layout).
    """
    known = points[points["train_seed"].notna() & (points["n_trials"] > 0)]
    rows = [
        {**dict(zip(KEYS, key, strict=True)), **_components(part, metric)}
        for key, part in known.groupby(KEYS, dropna=False, sort=True)
        if len(part) > 1
    ]
    return pd.DataFrame(rows)


def _components(part: pd.DataFrame, metric: Metric) -> dict[str, float]:
    """The two spreads of one point, from the rows of its trainings."""
    means = part[f"{metric}_mean"].to_numpy(float)
    within = part[f"{metric}_sd"].to_numpy(float) ** 2
    within = np.zeros_like(within) if part["ber"].iloc[0] == 0 else within
    noise = float(np.mean(within / part["n_trials"].to_numpy(float)))
    spread, count = float(np.var(means, ddof=1)), len(means)
    mean = float(np.mean(means))
    half = float(student.ppf((1 + LEVEL) / 2, count - 1)) * math.sqrt(spread / count)
    return {
        "n_trainings": count,
        "n_trials": int(part["n_trials"].sum()),
        "mean": mean,
        "sd_trainings": math.sqrt(max(spread - noise, 0.0)) if not math.isnan(noise) else math.nan,
        "sd_maps": math.sqrt(float(np.mean(within))),
        "low": max(mean - half, 0.0),
        "high": min(mean + half, 1.0),
    }


def write_trainings(points: pd.DataFrame, folder: Path, metric: Metric) -> list[Path]:
    """Write ``trainings_<metric>.csv``, ``.md``, ``.tex``; none where nothing is trained twice."""
    table = trainings(points, metric)
    if table.empty:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return write_grid(table, for_people(table, metric), folder / f"trainings_{metric}")


def for_people(table: pd.DataFrame, metric: Metric) -> Grid:
    """What `trainings` gave, in percent."""
    varied = [key for key in VARIANT_KEYS if table[key].nunique() > 1]
    columns = [
        Column(("Model",), numeric=False),
        Column(("dtype",), numeric=False),
        *(Column((key,), numeric=False) for key in varied),
        Column(("Method",), numeric=False),
        Column(("BER",)),
        Column(("Trainings",)),
        Column(("Trials",)),
        Column(("Mean",)),
        Column(("trainings",), "Standard deviation", "SD of "),
        Column(("fault maps",), "Standard deviation", "SD of "),
        Column(("95 % interval",)),
    ]
    rows = [_cells(row, varied) for row in table.to_dict("records")]
    starts = np.flatnonzero((table["method"] != table["method"].shift()).to_numpy())
    blocks = [rows[a:b] for a, b in zip(starts, [*starts[1:], len(rows)], strict=True)]
    caption = (
        f"{METRIC_NAMES[metric].capitalize()} in %, mean over trainings, each with the same "
        "weight; standard deviation between trainings, less what the choice of fault maps adds, "
        "and between fault maps within one training; 95 % interval of the mean over trainings "
        "(Student's t).",
    )
    return Grid(caption, columns, blocks)


def _cells(row: Mapping[Hashable, Any], varied: list[str]) -> list[Cell]:
    return [
        (row["model"],),
        (row["dtype"],),
        *((row[key],) for key in varied),
        (method_label(row["method"], row["t"]),),
        (Number(rate_text(row["ber"])),),
        (str(row["n_trainings"]),),
        (str(row["n_trials"]),),
        (percent(row["mean"], 2),),
        (percent(row["sd_trainings"], 2),),
        (percent(row["sd_maps"], 2),),
        (f"[{percent(row['low'], 2)}, {percent(row['high'], 2)}]",),
    ]

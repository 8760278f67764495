"""What protection costs and buys, as CSV for machines and as Markdown and LaTeX for people."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from campaign.analysis.labels import percent
from campaign.analysis.markup import Cell, Column, Grid, Number
from campaign.analysis.rows import METRIC_NAMES, VARIANT_KEYS, Metric
from campaign.analysis.tables import tolerated, training, write_grid
from campaign.analysis.tolerance import DROPS, column_of
from campaign.text import t_text


def write_costs(table: pd.DataFrame, folder: Path, metric: Metric) -> list[Path]:
    """Write what `cost.costs` gave for `metric`.

    Args:
        table: One row for each curve.
        folder: Where the files go; made where it is missing.
        metric: ``top1`` or ``top5``.

    Returns:
        ``cost_<metric>.csv`` (shares, full precision), ``.md`` and ``.tex`` (percent; needs
        ``booktabs``); none where no row says what it costs.
    """
    if table.empty:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return write_grid(table, for_people(table, metric), folder / f"cost_{metric}")


def for_people(table: pd.DataFrame, metric: Metric) -> Grid:
    """What `cost.costs` gave, in percent, with what all curves share said once in the caption."""
    varied = [key for key in VARIANT_KEYS if table[key].nunique() > 1]
    trained = table["train_seed"].nunique() > 1
    with_t = bool(table["t"].notna().any())
    columns = [
        Column(("Model",), numeric=False),
        Column(("dtype",), numeric=False),
        Column(("Method",), numeric=False),
        *([Column(("Training",))] if trained else []),
        *([Column(("t",))] if with_t else []),
        *(Column((key,), numeric=False) for key in varied),
        Column(("Bits",)),
        Column(("memory",), "Overhead (%)", "Overhead "),
        Column(("operations",), "Overhead (%)", "Overhead "),
        Column(("Clean",)),
        *(Column((f"{100 * drop:.4g} pt drop",), "BER at", "BER at ") for drop in DROPS),
        Column(("dtype",), "On the front of", "On the front of ", numeric=False),
        Column(("model",), "On the front of", "On the front of ", numeric=False),
    ]
    rows = [_cells(row, varied, with_t, trained) for row in table.to_dict("records")]
    changes = (table[["model", "dtype"]] != table[["model", "dtype"]].shift()).any(axis=1)
    starts = np.flatnonzero(changes.to_numpy())
    blocks = [rows[a:b] for a, b in zip(starts, [*starts[1:], len(rows)], strict=True)]
    return Grid(_caption(table, metric, varied), columns, blocks)


def _cells(
    row: Mapping[Hashable, Any], varied: list[str], with_t: bool, trained: bool
) -> list[Cell]:
    """One row, in the order of the columns of `for_people`."""
    t = "-" if math.isnan(row["t"]) else Number(t_text(row["t"]))
    return [
        (row["model"],),
        (row["dtype"],),
        (row["method"],),
        *([(training(row["train_seed"]),)] if trained else []),
        *([(t,)] if with_t else []),
        *((row[key],) for key in varied),
        (f"{row['bits_per_weight']:.2f}",),
        (percent(row["memory_overhead"]),),
        (percent(row["operations_overhead"]),),
        (percent(row["clean"], 2),),
        *(tolerated(row, column_of(drop)) for drop in DROPS),
        *(("yes" if row[front] else "",) for front in ("front_of_dtype", "front_of_model")),
    ]


def _caption(table: pd.DataFrame, metric: Metric, varied: list[str]) -> Cell:
    shared = [f"{key} {table[key].iloc[0]}" for key in VARIANT_KEYS if key not in varied]
    return (
        "Bits: stored and check bits per weight. Overhead: check bits and protected constants in % "
        "of stored bits; operations of the protections in % of those of an inference, where one "
        "image takes one reading of all exposed weights (batch size 1, the worst case). "
        f"{METRIC_NAMES[metric].capitalize()} without faults in %; bit error rate (BER) at which "
        "the mean has fallen by 1 and 5 points, with 95 % bootstrap intervals over seeds (no "
        "allowance for fault maps not seen). Fronts: no other method of this dtype is as good in "
        "both overheads and the BER at 5 points and better in one; of the model: over all its "
        "dtypes, in bits per weight (with constants) and that BER. They are those of the "
        "estimates; intervals have no say in them. No method is on a front whose accuracy without "
        "faults is more than 5 points below the best there. "
        f"Here: {', '.join(shared)}.",
    )

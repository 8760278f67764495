"""Published beside measured, as CSV for machines and as Markdown and LaTeX for people."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from campaign.analysis.labels import method_label
from campaign.analysis.markup import Cell, Column, Grid, Number
from campaign.analysis.tables import write_grid
from campaign.text import rate_text


def write_claims(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write what `claims.claims` gave.

    Args:
        table: One row for each claim and cell.
        folder: Where the files go; made where it is missing.

    Returns:
        ``claims.csv`` (full precision), ``claims.md`` and ``claims.tex`` (needs ``booktabs``);
        none where no published number has a cell beside it.
    """
    if table.empty:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return write_grid(table, for_people(table), folder / "claims")


def for_people(table: pd.DataFrame) -> Grid:
    """What `claims.claims` gave, a block for each publication."""
    columns = [
        *(Column((name,), numeric=False) for name in ("Claim", "Model", "dtype", "Method")),
        Column(("BER",)),
        *(Column((name,)) for name in ("Published", "Measured", "Interval")),
        *(Column((name,), numeric=False) for name in ("Verdict", "Why not comparable", "Open")),
    ]
    blocks = [
        [_cells(row) for row in part.to_dict("records")]
        for _, part in table.groupby("source", sort=False)
    ]
    sources = "; ".join(dict.fromkeys(table["source"]))
    return Grid((f"{_CAPTION} Sources: {sources}.",), columns, blocks)


_CAPTION = (
    "Published numbers and the cells of this campaign that may stand beside them, in % of images "
    "(gains: points). Agree: the 95 % interval of the mean overlaps the published value with its "
    "reading error and, where the number of fault maps is published, the chance of so few. Open: "
    "what the publication does not say, with the choice made here; where that is t, each t is "
    "judged by itself, and of many some agree by chance."
)


def _cells(row: Mapping[Hashable, Any]) -> list[Cell]:
    error = row["value_error"]
    give = f" ± {error:.2g}" if error > 0 and not math.isnan(row["value"]) else ""
    return [
        (row["claim"],),
        (row["model"],),
        (row["dtype"],),
        (method_label(row["method"], row["t"]),),
        (Number(rate_text(row["ber"])),),
        (f"{row['published']}{give}",),
        (f"{row['measured']:.2f}",),
        (interval_text(row["low"], row["high"]),),
        (row["verdict"],),
        (row["reasons"],),
        (row["open"],),
    ]


def interval_text(low: float, high: float) -> str:
    """An interval, or a dash where there is none.

    Example:
        >>> interval_text(1.0, 2.5), interval_text(3.0, 3.0), interval_text(math.nan, math.nan)
        ('[1.00, 2.50]', 'exact', '-')
    """
    if math.isnan(low):
        return "-"
    return "exact" if low == high else f"[{low:.2f}, {high:.2f}]"

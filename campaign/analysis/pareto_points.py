"""Which points a figure of tolerated bit error rates shows, and where; no drawing yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from campaign.analysis.cost import DROP
from campaign.analysis.drawing import label_of
from campaign.analysis.order import Order
from campaign.analysis.panels import slug, variants
from campaign.analysis.rows import VARIANT_KEYS
from campaign.analysis.styles import BASELINE
from campaign.analysis.tolerance import column_of

MOST_MODELS = 4
_COLUMN = column_of(DROP)


class Spot(NamedTuple):
    """One curve as a point."""

    model: str
    dtype: str
    name: str
    """Number format and protection, in matplotlib's markup."""
    x: float
    """Bits per weight: stored, check bits, constants."""
    y: float
    """BER that is tolerated: the estimate, or the bound that is known of it."""
    low: float
    """Interval of `y`; NaN where it is not known."""
    high: float
    bound: int
    """1 where more than `y` is tolerated, -1 where less, 0 where `y` is the estimate."""
    front: bool
    """Whether it is on the front of its model."""
    named: bool
    """Whether it is on the front or the best of its number format."""
    bare: bool
    """Whether it is without protection."""


class Sheet(NamedTuple):
    """One figure."""

    name: str
    """Ending of its file name; empty where there is one figure only."""
    title: str
    models: list[str]
    spots: list[Spot]


def sheets(table: pd.DataFrame, order: Order) -> list[Sheet]:
    """The figures of what `cost.costs` gave: one for each variant and at most four models.

    Curves of whose tolerated BER nothing is known are left out.
    """
    return [] if table.empty else list(_sheets(_placed(table), order))


def _sheets(placed: pd.DataFrame, order: Order) -> Iterator[Sheet]:
    for said, part in variants(placed):
        models = order.of_models(part["model"])
        for start in range(0, len(models), MOST_MODELS):
            more = [f"part {start // MOST_MODELS + 1}"] if len(models) > MOST_MODELS else []
            some = models[start : start + MOST_MODELS]
            spots = _spots(part[part["model"].isin(some)])
            yield Sheet(slug([*said, *more]), " · ".join([*said, *more]), some, spots)


def _placed(table: pd.DataFrame) -> pd.DataFrame:
    """The curves of which something is known, with the fields of `Spot` that need all of them."""
    note = table[f"{_COLUMN}_note"].astype(str).str
    bound = note.startswith(">").astype(int) - note.startswith("<").astype(int)
    y = table[_COLUMN].where(bound == 0, table["highest_ber"].where(bound > 0, table["lowest_ber"]))
    placed = table.assign(y=y, bound=bound)
    placed = placed[placed["y"].notna()]
    best = placed.sort_values(
        ["bound", "y", "total_bits_per_weight"], ascending=[False, False, True], kind="stable"
    ).drop_duplicates([*VARIANT_KEYS, "model", "dtype"])
    return placed.assign(named=placed.index.isin(best.index) | placed["front_of_model"])


def _spots(placed: pd.DataFrame) -> list[Spot]:
    return [
        Spot(
            model=str(row["model"]),
            dtype=str(row["dtype"]),
            name=f"{row['dtype']} · {_protection(str(row['method']), float(row['t']))}",
            x=float(row["total_bits_per_weight"]),
            y=float(row["y"]),
            low=float(row[f"{_COLUMN}_low"]),
            high=float(row[f"{_COLUMN}_high"]),
            bound=int(row["bound"]),
            front=bool(row["front_of_model"]),
            named=bool(row["named"]),
            bare=row["method"] == BASELINE,
        )
        for row in placed.to_dict("records")
    ]


def _protection(method: str, t: float) -> str:
    return label_of((method, None if t != t else t))

"""Two campaigns, or two parts of one, cell by cell: what differs, and beyond noise?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from campaign.analysis.comparison_cells import (
    CELL_COLUMNS,
    OTHER_IMAGES,
    Held,
    compared,
    held_of,
    joined,
)
from campaign.analysis.labels import curve_key
from campaign.analysis.rows import CURVE_KEYS, POINT_KEYS, Metric
from campaign.analysis.sequential import Precision
from campaign.analysis.significance import holm
from campaign.analysis.statistics import LEVEL, IntervalName
from campaign.errors import SpecError


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Args:
        name: What it is called, such as its folder.
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        precision: What decided how many trials there are; see `curves.curves`.
    """

    name: str
    rows: object
    precision: Precision | None = None


@dataclass(frozen=True)
class Lone:
    """A curve, or some of its rates, that only one side has."""

    curve: str
    bers: tuple[float, ...]


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare` found; plain data.

    Args:
        a: Name of the first side, from which differences are counted.
        b: Name of the second.
        cells: One row for each cell that both sides have; see `compare`.
        only_a: What only the first side has.
        only_b: What only the second has.
        across: Columns that may differ between the sides.
        metric: ``top1`` or ``top5``.
        interval: How intervals are made.
        notes: Lines that a reader must know, such as another checkpoint.
        family: Over how many cells p-values were adjusted.
    """

    a: str
    b: str
    cells: pd.DataFrame
    only_a: tuple[Lone, ...]
    only_b: tuple[Lone, ...]
    across: tuple[str, ...] = ()
    metric: Metric = "top1"
    interval: IntervalName = "bootstrap"
    notes: tuple[str, ...] = ()
    family: int = 0

    @property
    def tested(self) -> int:
        """Cells with a p-value."""
        return int(self.cells["p"].notna().sum())

    @property
    def differing(self) -> int:
        """Cells that differ beyond noise."""
        return int(self.cells["differs"].sum())

    def __repr__(self) -> str:
        return f"<{self.b} less {self.a}: {self.differing} of {self.tested} cells differ>"

    def __str__(self) -> str:
        from campaign.analysis.comparison_table import lines_of

        return "\n".join(lines_of([self]))

    def _repr_html_(self) -> str:
        from campaign.analysis.page.comparison import table_html

        return table_html(self)


def compare(
    a: Side,
    b: Side,
    *,
    across: Sequence[str] = (),
    metric: Metric = "top1",
    interval: IntervalName = "bootstrap",
    paired: bool = True,
    same_images: bool = True,
) -> Comparison:
    """The accuracy of `b` less that of `a` at every cell that both have.

    A cell is *paired*, seed by seed, where both sides saw the same faults: the same images, words
    of equal size and, where no check words tell them apart, equal fingerprints of the flips. Then
    the difference is known better than either mean. Other cells compare the means of two
    independent samples. Without faults there is one trial, and the difference is exact.

    Intervals of paired differences are those of `statistics.mean_interval`; of unpaired ones,
    combined from the intervals of both means (MOVER). P-values are `significance.sign_flip` and
    `significance.permutation`; where means were estimated from samples of the images, that of the
    normal distribution with the width of the interval. They are adjusted after Holm over all cells
    of the comparison; a cell differs beyond noise where the adjusted one is at most 0.05.

    Args:
        a: The side from which differences are counted.
        b: The other.
        across: Columns of a curve that may differ between the sides, such as ``method`` and ``t``;
            there must be one curve on each side for what is left.
        metric: ``top1`` or ``top5``.
        interval: How intervals are made; ``bounded`` allows for fault maps not seen.
        paired: False compares all cells as unpaired.
        same_images: False says that the sides were judged on other images, which the rows do not
            tell: no cell is paired, or tested, for intervals do not cover the choice of images.

    Returns:
        `cells` has the columns of `POINT_KEYS`, those of `across` as ``<key>_a`` and ``<key>_b``,
        then ``how`` (paired, unpaired, exact), ``why`` (it is not paired), ``n_a``, ``n_b``
        (trials with a result), ``n_pairs``, ``mean_a``, ``mean_b`` (over the pairs where paired),
        ``difference``, ``difference_sd``, ``low``, ``high`` (95 %), ``n_equal`` and ``n_better``
        (pairs where `b` is as good, or better), ``better_low``, ``better_high`` (of the share of
        better pairs, Wilson), ``same_flips`` (share of pairs), ``p``, ``p_adjusted``, ``differs``.
        All accuracies are shares.

    Raises:
        CampaignError: If rows cannot be analysed; see `rows.as_trials`.
        SpecError: If `across` names another column, or leaves several curves on a side.

    Source: MOVER: Zou and Donner, Stat. Med. 27, 2008. For the rest see the functions named.
    """
    if unknown := [key for key in across if key not in CURVE_KEYS]:
        raise SpecError(f"across: got {unknown[0]!r}; allowed: {', '.join(CURVE_KEYS)}")
    keys = [key for key in POINT_KEYS if key not in across]
    left, right = (held_of(side.rows, metric, interval, side.precision) for side in (a, b))
    for side, held in ((a, left), (b, right)):
        _refuse_several(side.name, held, keys, across)
    cells = joined(left, right, keys, across)
    answered = (cells["n_a"] > 0) & (cells["n_b"] > 0)
    both = cells[(cells["in"] == "both") & answered].reset_index(drop=True)
    why = OTHER_IMAGES if not same_images else "" if paired else "asked for"
    found = compared(both, left, right, keys, interval=interval, why=why)
    found[["p_adjusted", "differs"]] = math.nan, False
    named = [f"{key}_{side}" for key in across for side in "ab"]
    made = Comparison(
        a.name,
        b.name,
        found[[*keys, *named, *CELL_COLUMNS, "p_adjusted", "differs"]],
        _lone(cells[(cells["in"] == "left_only") | ~(cells["n_b"] > 0)], "a", across),
        _lone(cells[(cells["in"] == "right_only") | ~(cells["n_a"] > 0)], "b", across),
        tuple(across),
        metric,
        interval,
    )
    return together([made])[0]


def label_of(cell: Any, side: str, across: Sequence[str] = ()) -> str:  # noqa: ANN401
    """The curve of one side at a row of `Comparison.cells`, as `labels.curve_key` says it."""
    return curve_key({key: cell[f"{key}_{side}" if key in across else key] for key in CURVE_KEYS})


def together(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same, with p-values adjusted over the cells of all of them."""
    if not comparisons:
        return []
    adjusted = holm(np.concatenate([each.cells["p"].to_numpy(float) for each in comparisons]))
    family = sum(each.tested for each in comparisons)
    ends = np.cumsum([len(each.cells) for each in comparisons])
    return [
        replace(
            each,
            cells=each.cells.assign(p_adjusted=part, differs=part <= 1 - LEVEL),
            family=family,
        )
        for each, part in zip(comparisons, np.split(adjusted, ends[:-1]), strict=True)
    ]


def _refuse_several(name: str, held: Held, keys: Sequence[str], across: Sequence[str]) -> None:
    several = held.points.duplicated(list(keys), keep=False)
    if several.any():
        curves = held.points.loc[several, CURVE_KEYS].drop_duplicates().to_dict("records")
        first, second = (curve_key({str(k): v for k, v in c.items()}) for c in curves[:2])
        raise SpecError(
            f"{name}: {first!r} and {second!r} are the same but for {', '.join(across)}; "
            "compare across fewer columns, or choose one curve of each side"
        )


def _lone(cells: pd.DataFrame, side: str, across: Sequence[str]) -> tuple[Lone, ...]:
    """Curves, each with its rates, in the order of the cells."""
    bers: dict[str, list[float]] = {}
    for cell in cells[cells[f"n_{side}"] > 0].to_dict("records"):
        bers.setdefault(label_of(cell, side, across), []).append(float(cell["ber"]))
    return tuple(Lone(curve, tuple(found)) for curve, found in bers.items())

"""Points to what the panels of a figure show; no drawing yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from campaign.analysis.order import Order
from campaign.analysis.rows import VARIANT_KEYS, Metric, numbered
from campaign.analysis.styles import Protection

Array = npt.NDArray[np.float64]
MOST_COLUMNS = 4
MOST_ROWS = 5
MOST_PANELS = 12


class Line(NamedTuple):
    """The points of one curve with BER above 0; arrays of shape (k,), BER ascending."""

    protection: Protection
    ber: Array
    mean: Array
    """NaN where every trial failed."""
    low: Array
    high: Array
    clean: float
    """Accuracy without faults; NaN where it was not measured."""
    partial: npt.NDArray[np.bool_]
    """Where some trials have no result, so that the mean is that of the others."""


class Panel(NamedTuple):
    """One set of axes."""

    title: str
    lines: list[Line]


class Page(NamedTuple):
    """One figure."""

    name: str
    """Ending of its file name; empty where there is one figure only."""
    title: str
    """What sets it apart from the other figures; may be empty."""
    panels: list[list[Panel | None]]
    """Rows of panels; None where nothing was run. A row may be shorter in `wrapped` pages."""
    points: pd.DataFrame


def pages(
    points: pd.DataFrame,
    metric: Metric,
    order: Order = Order(),  # noqa: B008 - immutable
) -> list[Page]:
    """The figures of a campaign: a panel for each model and dtype, a page for each variant.

    Several models and up to four dtypes make a grid, at most five models a page; other cases are
    lists of panels (one row), which the layout wraps.

    Args:
        points: What `curves.curves` gives.
        metric: ``top1`` or ``top5``.
        order: In which order models and dtypes stand; by name where it says nothing.
    """
    faulty = points[points["ber"] > 0]
    made = []
    for said, part in variants(faulty):
        for more, grid in _grids(part, metric, order):
            title = " · ".join([*said, *more])
            made.append(Page(slug([*said, *more]), title, grid, part))
    return _with_distinct_names(made)


def variants(frame: pd.DataFrame) -> list[tuple[list[str], pd.DataFrame]]:
    """The parts of a frame that have figures of their own, and what sets each apart."""
    varied = [key for key in VARIANT_KEYS if frame[key].nunique() > 1]
    if not varied:
        return [([], frame)]
    groups = frame.groupby(varied, sort=True)
    return [([f"{k} {v}" for k, v in zip(varied, names, strict=True)], g) for names, g in groups]


def _grids(
    points: pd.DataFrame, metric: Metric, order: Order
) -> Iterator[tuple[list[str], list[list[Panel | None]]]]:
    """What sets each page of a variant apart, and its panels."""
    models, dtypes = order.of_models(points["model"]), order.of_dtypes(points["dtype"])
    held = {
        (model, dtype): Panel(f"{model} · {dtype}", _lines(group, metric))
        for (model, dtype), group in points.groupby(["model", "dtype"], sort=False)
    }
    if len(models) > 1 and len(dtypes) > MOST_COLUMNS:
        for model in models:
            yield [model], [[held[model, d] for d in dtypes if (model, d) in held]]
        return
    grid = [[held.get((model, dtype)) for dtype in dtypes] for model in models]
    if len(models) == 1 or len(dtypes) == 1:
        flat = [[panel for row in grid for panel in row]]
        chunks = [[flat[0][k : k + MOST_PANELS]] for k in range(0, len(flat[0]), MOST_PANELS)]
    else:
        chunks = [grid[k : k + MOST_ROWS] for k in range(0, len(grid), MOST_ROWS)]
    for number, chunk in enumerate(chunks, 1):
        yield ([] if len(chunks) == 1 else [f"part {number}"]), chunk


def _lines(points: pd.DataFrame, metric: Metric) -> list[Line]:
    """The curves of one panel, in the order of `points`."""
    number = numbered(points, ["method", "t"])
    lines = []
    for _, group in points.groupby(number, sort=True):
        ordered = group.sort_values("ber")
        t = float(ordered["t"].iloc[0])
        lines.append(
            Line(
                (str(ordered["method"].iloc[0]), None if np.isnan(t) else t),
                ordered["ber"].to_numpy(float),
                ordered[f"{metric}_mean"].to_numpy(float),
                ordered[f"{metric}_low"].to_numpy(float),
                ordered[f"{metric}_high"].to_numpy(float),
                float(ordered[f"{metric}_clean"].iloc[0]),
                ordered["n_failed"].to_numpy() > 0,
            )
        )
    return lines


def slug(said: list[str]) -> str:
    """The ending of a file name from what sets a figure apart.

    Example:
        >>> slug(["nonfinite zero", "part 2"])
        'nonfinite-zero_part-2'
    """
    return "_".join(re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")[:60] for text in said)


def _with_distinct_names(made: list[Page]) -> list[Page]:
    if len({page.name for page in made}) == len(made):
        return made
    return [page._replace(name=f"{page.name}_{k}") for k, page in enumerate(made, 1)]

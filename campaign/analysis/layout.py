"""Where panels, labels and legend go, in inches: plain arithmetic, no drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

COLUMN, PAGE = 3.5, 7.16
"""Widths of one column and of a two-column page, inches."""
MOST_DIRECT = 8
"""A panel with more lines than this gets a legend, not labels at its lines."""
LEAST_PLOT = 1.25
"""Width of a panel below which labels at its lines would squeeze it, inches."""
LEFT, RIGHT, BOTTOM, TITLE, GAP = 0.52, 0.06, 0.42, 0.21, 0.13
LINE_STEP = 0.125
"""Distance between lines of text of the label size, inches."""
HANDLE = 0.36
"""Room for the sample of a line before its label, with its gaps, inches."""
LEGEND_HANDLE = 0.45
"""The same in a legend, with the gap between its columns, inches."""


class Box(NamedTuple):
    """One panel; its place in the grid and its axes in inches from the lower left corner."""

    row: int
    column: int
    left: float
    bottom: float
    width: float
    height: float


class Label(NamedTuple):
    """The name of a line, as large as it is set."""

    text: str
    width: float
    """Inches."""
    lines: int = 1


class Layout(NamedTuple):
    """Everything that has a place on the page; inches."""

    width: float
    height: float
    boxes: list[Box]
    """In the order of the panels, row by row; also for cells that hold none."""
    direct: bool
    """Whether lines are labelled at their ends."""
    legend_columns: int
    legend_bottom: float
    footnote_bottom: float


def arrange(
    rows: Sequence[int],
    *,
    lines: int,
    labels: Sequence[Label],
    footnotes: int = 1,
    titled: bool = False,
) -> Layout:
    """Find room for all that is to be drawn.

    One panel takes the width of a column, several that of a page. Three panels stand abreast: two
    columns would leave a corner empty. A single row of more is wrapped: to two columns where labels
    then fit at the lines, else to three.

    Args:
        rows: How many cells each row of panels has; equal unless there is one row.
        lines: Lines in the fullest panel.
        labels: All labels in the order of the legend.
        footnotes: Lines of the footnote.
        titled: Whether the page has a title.
    """
    count, columns = sum(rows), max(rows)
    width = COLUMN if count == 1 else PAGE
    wanted = HANDLE + max(label.width for label in labels)
    if len(rows) == 1 and count > 3:
        columns = 2 if lines <= MOST_DIRECT and _plot(width, 2, wanted) >= LEAST_PLOT else 3
    direct = lines <= MOST_DIRECT and _plot(width, columns, wanted) >= LEAST_PLOT
    depth = math.ceil(count / columns)
    legend_columns, legend_rows = legend_shape(labels, width - 0.12)
    foot = 0.04 + footnotes * LINE_STEP
    ground = foot + (0.0 if direct else legend_rows * LINE_STEP * 1.1 + 0.06) + BOTTOM
    plot_width = _plot(width, columns, wanted if direct else 0.0)
    plot_height = max(_height(columns), lines * LINE_STEP if direct else 0)
    pitch = plot_height + TITLE + GAP
    height = ground + depth * pitch - GAP + 0.04 + (TITLE if titled else 0)
    boxes = [
        Box(
            place // columns,
            place % columns,
            LEFT + (place % columns) * (plot_width + GAP + (wanted if direct else 0.0)),
            ground + (depth - 1 - place // columns) * pitch,
            plot_width,
            plot_height,
        )
        for place in range(count)
    ]
    return Layout(width, height, boxes, direct, legend_columns, foot + 0.03, 0.04)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels apart, each as little as possible (least squares), order kept.

    Args:
        wanted: Where each would like to be, ascending.
        gap: The least distance between neighbours.
        low: No label goes below.
        high: No label goes above; where there is no room for all, they go beyond it.

    Example:
        >>> spread([0.0, 0.0], 2.0, -5.0, 5.0)
        [-1.0, 1.0]
    """
    if not len(wanted):
        return []
    steps = gap * np.arange(len(wanted))
    free = isotonic_regression(np.asarray(wanted) - steps).x
    kept = np.clip(free, low, max(low, high - steps[-1]))
    return [float(place) for place in kept + steps]


def legend_shape(labels: Sequence[Label], room: float) -> tuple[int, int]:
    """The most columns that fit, filled one after the other, and the lines of the longest."""
    for columns in range(len(labels), 0, -1):
        ends = np.cumsum([len(part) for part in np.array_split(np.arange(len(labels)), columns)])
        parts = [labels[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        needed = sum(LEGEND_HANDLE + max(label.width for label in part) for part in parts)
        if needed <= room or columns == 1:
            break
    return columns, max(sum(label.lines for label in part) for part in parts)


def _plot(width: float, columns: int, label_width: float) -> float:
    return (width - LEFT - RIGHT - (columns - 1) * GAP) / columns - label_width


def _height(columns: int) -> float:
    return {1: 2.0, 2: 1.6}.get(columns, 1.25)

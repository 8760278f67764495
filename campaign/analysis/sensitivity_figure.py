"""Sensitivity studies as figures: what a study varies downwards, the drop in accuracy across."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from campaign.analysis import drawing
from campaign.analysis.figures import save, under_settings
from campaign.analysis.labels import power
from campaign.analysis.layout import LINE_STEP, PAGE
from campaign.analysis.lettering import broken, text_width, write
from campaign.analysis.rows import METRIC_NAMES, Metric
from campaign.analysis.sensitivity import STUDIES
from campaign.analysis.sensitivity_table import same_label
from campaign.analysis.styles import HUES, MARKERS
from campaign.text import rate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 3
STEP = 0.105
"""Height of one point with its interval, inches."""


def draw_sensitivity(studied: pd.DataFrame | None, folder: Path, metric: Metric) -> list[Path]:
    """Draw the drop in accuracy over what each study varies, a panel for each group.

    Args:
        studied: What `sensitivity.sensitivity` gives for `metric`.
        folder: Where the files go; made where it is missing.
        metric: ``top1`` or ``top5``.

    Returns:
        The files, ``sensitivity_<study>_<metric>[_<k>].png`` (200 dpi), ``.svg`` and ``.pdf``, at
        most three groups in each; none where nothing was varied.
    """
    if studied is None or studied.empty:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with under_settings():
        for study, part in studied.groupby("study", sort=False):
            figures = list(_pages(part))
            for number, page in enumerate(figures, 1):
                ending = f"_{number}" if len(figures) > 1 else ""
                stem = folder / f"sensitivity_{study}_{metric}{ending}"
                written += save(draw_groups(page, metric), stem)
    return written


def draw_groups(part: pd.DataFrame, metric: Metric) -> Figure:
    """One figure of groups of one study that have the same values, not yet written."""
    from matplotlib.figure import Figure

    values = _values(part)
    groups = [group for _, group in part.groupby("group", sort=False)]
    bers = sorted(set(part["ber"]))
    name = STUDIES[str(part["study"].iloc[0])][0]
    left = 0.25 + max(text_width(value, drawing.TICK_SIZE) for value in values)
    wide = (PAGE - left - 0.1) / MOST_PANELS
    width = left + len(groups) * wide + 0.1
    titles = [broken(same_label(g.to_dict("records")[0]), wide - 0.15) for g in groups]
    notes = textwrap.wrap(_footnote(metric), int(width * 23))
    ground = 0.62 + len(notes) * LINE_STEP
    rows = len(values) * (STEP * len(bers) + 0.06)
    height = ground + rows + 0.3 + LINE_STEP * max(title.lines for title in titles)
    figure = Figure(figsize=(width, height))
    for place, (group, title) in enumerate(zip(groups, titles, strict=True)):
        start = left + place * wide
        axes = figure.add_axes(
            (start / width, ground / height, (wide - 0.15) / width, rows / height)
        )
        _draw(axes, group, values, bers)
        axes.tick_params(labelleft=place == 0)
        write(figure, start, ground + rows + 0.06, title.text, size=drawing.LABEL_SIZE, va="bottom")
        middle = start + (wide - 0.15) / 2
        write(figure, middle, ground - 0.32, "drop (points)", size=7.5, ha="center")
    write(figure, 0.06, height - 0.16, name, size=8.0, weight="bold")
    _draw_keys(figure, bers, 0.06 + len(notes) * LINE_STEP)
    write(figure, 0.06, 0.04, "\n".join(notes), size=6.0, va="bottom")
    return figure


def _pages(part: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Groups of equal values, at most `MOST_PANELS` together."""
    alike: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    for _, group in part.groupby("group", sort=False):
        alike.setdefault(tuple(_values(group)), []).append(group)
    for groups in alike.values():
        for start in range(0, len(groups), MOST_PANELS):
            yield pd.concat(groups[start : start + MOST_PANELS])


def _values(part: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(part.sort_values("place", kind="stable")["value"]))


def _draw(axes: Axes, group: pd.DataFrame, values: list[str], bers: list[float]) -> None:
    """Points with their intervals, the first value on top, the lowest rate first in each."""
    row = {value: place for place, value in enumerate(values)}
    middle = (len(bers) - 1) / 2
    axes.axvline(0, color=drawing.FAINT, lw=0.6, zorder=1)
    for place, ber in enumerate(bers):
        mine = group[group["ber"] == ber]
        y = mine["value"].map(row).to_numpy(float) + 0.75 * (place - middle) / len(bers)
        drop = 100 * mine["drop"].to_numpy(float)
        ends = 100 * mine[["drop_low", "drop_high"]].to_numpy(float).T
        bars = np.abs(np.nan_to_num(ends - drop))
        look: Any = {"color": _color(place), "marker": MARKERS[place % len(MARKERS)]}
        axes.errorbar(drop, y, xerr=bars, ls="none", ms=3, lw=0.9, mew=0, **look)
    axes.set_yticks(range(len(values)), values)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.tick_params(labelsize=drawing.TICK_SIZE, length=2.5, width=0.6, pad=2, colors=drawing.INK)
    axes.grid(visible=True, axis="x", lw=0.4, color="#E4E4E4")
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_linewidth(0.6)


def _color(place: int) -> str:
    return HUES[place % len(HUES)]


def _draw_keys(figure: Figure, bers: list[float], bottom: float) -> None:
    from matplotlib.lines import Line2D

    look: Any = {"fontsize": drawing.LABEL_SIZE, "labelcolor": drawing.INK, "frameon": False}
    width, height = figure.get_size_inches()
    figure.legend(
        [
            Line2D([], [], color=_color(k), marker=MARKERS[k % len(MARKERS)], ls="none", ms=3.5)
            for k in range(len(bers))
        ],
        [f"BER ${power(rate_text(ber))}$" for ber in bers],
        loc="lower left",
        bbox_to_anchor=(0.06 / width, bottom / height),
        ncols=max(1, int(width)),
        borderaxespad=0,
        borderpad=0,
        handlelength=1.0,
        **look,
    )


def _footnote(metric: Metric) -> str:
    return (
        f"Drop in {METRIC_NAMES[metric]}: without faults, of the same stored model, less the mean "
        "over fault maps; bars: interval of that mean. BER: of the bits that are exposed."
    )

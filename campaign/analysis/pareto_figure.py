"""Tolerated bit error rate against bits per weight, with the Pareto front."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from campaign.analysis.cost import DROP
from campaign.analysis.drawing import FAINT, INK, LABEL_SIZE, TICK_SIZE, TITLE_SIZE
from campaign.analysis.figures import save, under_settings
from campaign.analysis.labels import power
from campaign.analysis.layout import (
    BOTTOM,
    LEFT,
    LINE_STEP,
    PAGE,
    TITLE,
    Box,
    Label,
    legend_shape,
    spread,
)
from campaign.analysis.lettering import text_width, write
from campaign.analysis.order import Order
from campaign.analysis.pareto_points import Sheet, Spot, sheets
from campaign.analysis.rows import METRIC_NAMES, Metric
from campaign.analysis.styles import HUES, MARKERS
from campaign.text import rate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_METHODS = 2
ARROW, GUTTER, MOST_LABEL = 0.14, 0.3, 3.0
"""Length of an arrow, room for leaders beside a panel, width of the widest label; inches."""
_SIGNS = ("no protection", "on the front")


class Mark(NamedTuple):
    """How the points of a number format are drawn."""

    color: str
    marker: str


class Frame(NamedTuple):
    """The range of all panels of a page."""

    left: float
    right: float
    low: float
    high: float

    def up(self, ber: float) -> float:
        """How far up a BER is, 0 to 1."""
        return math.log(ber / self.low) / math.log(self.high / self.low)

    def across(self, bits: float) -> float:
        """How far right so many bits are, 0 to 1."""
        return math.log(bits / self.left) / math.log(self.right / self.left)


def draw_pareto(
    table: pd.DataFrame,
    folder: Path,
    metric: Metric,
    order: Order = Order(),  # noqa: B008 - immutable
) -> list[Path]:
    """Draw what each protection buys for its bits: a panel for each model, a page for each variant.

    Args:
        table: What `cost.costs` gives for `metric`.
        folder: Where the files go; made where it is missing.
        metric: ``top1`` or ``top5``.
        order: In which order models and number formats stand.

    Returns:
        The files, ``pareto_<metric>[_<variant>].png`` (200 dpi), ``.svg`` and ``.pdf``; none
        where fewer than two methods have a cost.
    """
    if table["method"].nunique() < LEAST_METHODS:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with under_settings():
        for sheet in sheets(table, order):
            stem = f"pareto_{metric}" + (f"_{sheet.name}" if sheet.name else "")
            written += save(draw_sheet(sheet, metric, order), folder / stem)
    return written


def draw_sheet(sheet: Sheet, metric: Metric, order: Order = Order()) -> Figure:  # noqa: B008
    """One figure, not yet written, to be made under `SETTINGS`."""
    from matplotlib.figure import Figure

    marks = _marks(order.of_dtypes(spot.dtype for spot in sheet.spots))
    notes = textwrap.wrap(_footnote(sheet.spots, metric), 165)
    # Without lines the samples take less room than `legend_shape` allows for.
    legend = [Label(name, text_width(name) - 0.12) for name in (*marks, *_SIGNS)]
    columns, lines = legend_shape(legend, PAGE - 0.12)
    width, height = _panel_size(sheet)
    ground = 0.14 + (len(notes) + 1.1 * lines) * LINE_STEP + BOTTOM
    pitch = height + TITLE + 0.16
    top = ground + len(sheet.models) * pitch - 0.1
    figure = Figure(figsize=(PAGE, top + (TITLE if sheet.title else 0.0)))
    frame = _frame(sheet.spots)
    for place, model in enumerate(reversed(sheet.models)):
        box = Box(place, 0, LEFT, ground + place * pitch, width, height)
        _draw_panel(figure, box, [s for s in sheet.spots if s.model == model], marks, frame)
        write(figure, LEFT, box.bottom + height + 0.05, model, size=TITLE_SIZE)
    _write_names(figure, LEFT + width / 2, (ground, top), sheet.title)
    _draw_legend(figure, marks, columns, 0.08 + len(notes) * LINE_STEP)
    write(figure, 0.06, 0.04, "\n".join(notes), size=6.0, va="bottom")
    return figure


def _panel_size(sheet: Sheet) -> tuple[float, float]:
    """Width and height that leave room for the names at the right, inches."""
    named = [spot for spot in sheet.spots if spot.named]
    widest = max((text_width(spot.name) for spot in named), default=0.0)
    most = max((sum(spot.model == model for spot in named) for model in sheet.models), default=0)
    width = PAGE - LEFT - GUTTER - min(widest, MOST_LABEL) - 0.1
    return width, max(2.3, (most + 1) * LINE_STEP)


def _marks(dtypes: Sequence[str]) -> dict[str, Mark]:
    """A colour and a marker for each number format; beyond seven the colours repeat."""
    hues, kinds = (*HUES, "#6A6A6A"), ("o", *MARKERS)
    return {
        dtype: Mark(hues[place % len(hues)], kinds[place % len(kinds)])
        for place, dtype in enumerate(dtypes)
    }


def _frame(spots: Sequence[Spot]) -> Frame:
    """The range that shows every point, and the intervals of the front."""
    bits = [spot.x for spot in spots]
    bers = [spot.y for spot in spots]
    bers += [end for s in spots if s.front for end in (s.low, s.high) if not math.isnan(end)]
    across = max((max(bits) / min(bits)) ** 0.04, 1.03)
    up = max((max(bers) / min(bers)) ** 0.06, 1.3)
    return Frame(min(bits) / across, max(bits) * across, min(bers) / up, max(bers) * up)


def _draw_panel(
    figure: Figure, box: Box, spots: Sequence[Spot], marks: Mapping[str, Mark], frame: Frame
) -> None:
    width, height = figure.get_size_inches()
    axes = figure.add_axes(
        (box.left / width, box.bottom / height, box.width / width, box.height / height)
    )
    _ticks(axes, frame, box)
    front = sorted((spot for spot in spots if spot.front), key=lambda spot: (spot.x, spot.y))
    if front:
        x, y = [spot.x for spot in front], [spot.y for spot in front]
        line: Any = {"drawstyle": "steps-post", "color": INK, "lw": 0.8, "zorder": 2}
        axes.plot([*x, frame.right], [*y, y[-1]], **line)
    for spot in [*(spot for spot in spots if not spot.front), *front]:
        _draw_spot(axes, spot, marks[spot.dtype])
    _draw_names(axes, [spot for spot in spots if spot.named], marks, frame, box)


def _draw_spot(axes: Axes, spot: Spot, mark: Mark) -> None:
    look: Any = {"marker": mark.marker, "color": mark.color, "ls": "none", "clip_on": False}
    if spot.front:
        axes.plot([spot.x] * 2, [spot.low, spot.high], color=mark.color, lw=1.0, zorder=3)
        axes.plot(spot.x, spot.y, ms=5.2, mec=INK, mew=0.6, zorder=5, **look)
    else:
        axes.plot(spot.x, spot.y, ms=4.2, mfc="none", mew=0.8, zorder=3, **look)
    if spot.bare:
        axes.plot(spot.x, spot.y, ".", color=INK, ms=2.8, mew=0, zorder=6, clip_on=False)
    if spot.bound:
        axes.annotate(
            "",
            (spot.x, spot.y),
            xytext=(0, 72 * ARROW * spot.bound),
            textcoords="offset points",
            arrowprops={"arrowstyle": "<-", "color": mark.color, "lw": 0.8, "shrinkA": 0},
            annotation_clip=False,
        )


def _draw_names(
    axes: Axes, named: Sequence[Spot], marks: Mapping[str, Mark], frame: Frame, box: Box
) -> None:
    """Names at the right in the order of their points, with leaders that bend beside the panel."""
    ordered = sorted(named, key=lambda spot: (spot.y, spot.x))
    gap, inch = LINE_STEP / box.height, 1 / box.width
    wanted = [min(max(frame.up(spot.y), gap / 2), 1 - gap / 2) for spot in ordered]
    free: Any = {"transform": axes.transAxes, "clip_on": False}
    for spot, place in zip(ordered, spread(wanted, gap, 0, 1), strict=True):
        across = [frame.across(spot.x), 1, 1 + (GUTTER - 0.1) * inch, 1 + (GUTTER - 0.05) * inch]
        up = [frame.up(spot.y)] * 2 + [place] * 2
        axes.plot(across, up, color=marks[spot.dtype].color, lw=0.45, zorder=1, **free)
        left = 1 + (GUTTER - 0.02) * inch
        axes.text(left, place, spot.name, size=LABEL_SIZE, color=INK, va="center_baseline", **free)


def _ticks(axes: Axes, frame: Frame, box: Box) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(frame.left, frame.right)
    axes.set_ylim(frame.low, frame.high)
    bits = _bits_shown(frame, box.width)
    axes.set_xticks(bits, [f"{each:g}" for each in bits])
    decades = range(math.ceil(math.log10(frame.low)), math.floor(math.log10(frame.high)) + 1)
    bers = [10.0**k for k in decades] or [math.sqrt(frame.low * frame.high)]
    axes.set_yticks(bers, [f"${power(rate_text(ber))}$" for ber in bers])
    axes.set_xticks([], minor=True)
    axes.set_yticks([], minor=True)
    axes.tick_params(labelsize=TICK_SIZE, length=2.5, width=0.6, pad=2, colors=INK)
    axes.grid(visible=True, lw=0.4, color="#E4E4E4")
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_linewidth(0.6)
        spine.set_color(INK)


def _bits_shown(frame: Frame, width: float) -> list[float]:
    """Powers of two and, where there is room, what lies halfway between them."""
    first, last = math.floor(math.log2(frame.left)), math.ceil(math.log2(frame.right))
    every = [2.0**k * part for k in range(first, last + 1) for part in (1.0, 1.25, 1.5, 1.75)]
    shown: list[float] = []
    for step in (1, 2, 4):
        shown = [each for each in every[::step] if frame.left <= each <= frame.right]
        if len(shown) * 0.42 <= width:
            break
    return shown or [round(math.sqrt(frame.left * frame.right), 2)]


def _write_names(figure: Figure, middle: float, ends: tuple[float, float], title: str) -> None:
    """The names of the axes and of the page; `ends` of the panels, inches."""
    name = "bits per weight (stored, check bits, constants)"
    write(figure, middle, ends[0] - 0.36, name, size=7.5, ha="center")
    name = f"tolerated bit error rate (drop of {100 * DROP:.4g} points)"
    place: Any = {"va": "center", "rotation": 90}
    write(figure, 0.06, (ends[0] + ends[1] - TITLE) / 2, name, size=7.5, **place)
    if title:
        write(figure, LEFT, ends[1] + 0.05, title, size=8.0, weight="bold")


def _draw_legend(figure: Figure, marks: Mapping[str, Mark], columns: int, bottom: float) -> None:
    from matplotlib.lines import Line2D

    look: Any = {"ls": "none", "ms": 4.2, "mew": 0.8, "mfc": "none"}
    handles = [Line2D([], [], color=m.color, marker=m.marker, **look) for m in marks.values()]
    handles += [
        Line2D([], [], color=INK, marker=".", ls="none", ms=4),
        Line2D([], [], color=INK, lw=0.8, marker="o", ms=4.2, mfc=FAINT, mew=0.6),
    ]
    figure.legend(
        handles,
        [*marks, *_SIGNS],
        loc="lower left",
        bbox_to_anchor=(0.06 / PAGE, bottom / float(figure.get_size_inches()[1])),
        ncols=columns,
        fontsize=LABEL_SIZE,
        labelcolor=INK,
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        handlelength=1.6,
        handletextpad=0.5,
        columnspacing=1.2,
        labelspacing=0.3,
    )


def _footnote(spots: Sequence[Spot], metric: Metric) -> str:
    text = (
        f"BER at which the mean {METRIC_NAMES[metric]} has fallen {100 * DROP:.4g} points below "
        "the fault-free one of the same curve; bars on the front: 95 % bootstrap intervals over "
        "seeds (no allowance for fault maps not seen). Named: the front, and the best of each "
        "number format."
    )
    said = {
        1: " Arrow up: not fallen so far at the largest BER.",
        -1: " Arrow down: fallen further at the smallest BER.",
    }
    return text + "".join(said[sign] for sign in (1, -1) if any(s.bound == sign for s in spots))

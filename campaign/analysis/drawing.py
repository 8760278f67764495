"""One panel on its axes: lines, bands, the clean accuracy, labels at the lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from campaign.analysis.labels import percent, power
from campaign.analysis.layout import LINE_STEP, Box, spread
from campaign.analysis.panels import Line, Panel
from campaign.analysis.styles import BASELINE, Protection, Style
from campaign.text import rate_text, t_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL_SIZE, TICK_SIZE, TITLE_SIZE = 6.8, 7.0, 7.8
INK, FAINT = "#222222", "#8A8A8A"
SAME_CLEAN = 0.005
"""Clean accuracies closer than this share one line."""
SAME_LINE = 0.025
"""Lines nowhere further apart than this share of the axis are one to the eye: a line's width."""
MOST_BANDS = 8
"""With more curves in a panel, bands only cover each other and the lines."""
TURN = 4.0
"""Length of the dashes of lines that coincide, in line widths."""


class Frame(NamedTuple):
    """The range of all panels of a page."""

    left: float
    """Lowest BER shown."""
    right: float
    low: float
    """Lowest accuracy shown, a share."""
    high: float

    def across(self, ber: float) -> float:
        """How far right a BER is, 0 to 1."""
        return math.log(ber / self.left) / math.log(self.right / self.left)

    def up(self, share: float) -> float:
        """How far up an accuracy is, 0 to 1."""
        return (share - self.low) / (self.high - self.low)


def label_of(protection: Protection) -> str:
    """A protection in matplotlib's markup.

    Example:
        >>> label_of(("weight_scaling", 2.0**120))
        'weight_scaling $t=2^{120}$'
    """
    method, t = protection
    name = method.replace("$", r"\$")
    return name if t is None else f"{name} $t={power(t_text(t))}$"


def frame_of(panels: Sequence[Panel]) -> Frame:
    """The range that shows every point and band, with room for the clean label.

    The accuracy axis starts at 0 unless everything is in the upper half. One BER alone gets half a
    decade on either side.
    """
    lines = [line for panel in panels for line in panel.lines]
    bers = np.concatenate([line.ber for line in lines])
    left, right = float(bers.min()), float(bers.max())
    margin = (right / left) ** 0.05 if right > left else 10**0.5
    shown = np.concatenate([[line.clean, *line.mean, *line.low, *line.high] for line in lines])
    shown = shown[~np.isnan(shown)]
    least, most = (float(shown.min()), float(shown.max())) if shown.size else (0.0, 1.0)
    low = least - 0.08 * (most - least) if least > 0.5 * most else 0.0
    span = max(most - low, 0.01)
    return Frame(left / margin, right * margin, low - 0.03 * span, low + 1.16 * span)


def draw_panel(
    axes: Axes, panel: Panel, frame: Frame, box: Box, styles: Mapping[Protection, Style]
) -> None:
    """Draw all lines of a panel and its ticks; labels and legend are apart."""
    _ticks(axes, panel, frame, box)
    _clean(axes, panel, frame, styles)
    alpha = 0.5 / max(3, len(panel.lines)) if has_bands(panel) else None
    for line, turn in zip(_dodged(panel), turns(panel, frame), strict=True):
        style = styles[line.protection]
        if len(line.ber) == 1:
            _single(axes, line, style)
        else:
            _curve(axes, line, style, alpha, turn)
        lost = line.ber[np.isnan(line.mean)]
        axes.plot(lost, np.full(len(lost), frame.low), "x", color=style.color, clip_on=False, ms=4)


def has_bands(panel: Panel) -> bool:
    """Whether its bands can be told apart."""
    return len(panel.lines) <= MOST_BANDS


def label_lines(
    axes: Axes, panel: Panel, frame: Frame, box: Box, styles: Mapping[Protection, Style]
) -> None:
    """Name each line beside its last point, with a leader where it had to move."""
    ends = [(line, _end(line, frame)) for line in _dodged(panel) if not np.isnan(line.mean).all()]
    ends.sort(key=lambda end: (end[1][1], float(np.nanmean(end[0].mean))))
    gap = LINE_STEP / box.height
    wanted = [min(max(up, gap / 2), 1 - gap / 2) for _, (_, up) in ends]
    for (line, end), place in zip(ends, spread(wanted, gap, 0, 1), strict=True):
        _label(axes, line, end, place, 1 / box.width, styles[line.protection])


def _label(
    axes: Axes, line: Line, end: tuple[float, float], place: float, inch: float, style: Style
) -> None:
    """A leader from `end` (axes fractions), a sample of the line, and its name at `place`."""
    free: Any = {"transform": axes.transAxes, "clip_on": False}
    leader = [end[0], 1 + 0.08 * inch], [end[1], place]
    axes.plot(*leader, color=style.color, lw=0.45, alpha=0.7, **free)
    sample = [1 + 0.08 * inch, 1 + 0.19 * inch, 1 + 0.30 * inch], [place] * 3
    look: Any = {"color": style.color, "ls": style.dash, "marker": style.marker}
    axes.plot(*sample, markevery=[1], lw=1.1, ms=3, **look, **free)
    name = label_of(line.protection)
    axes.text(
        1 + 0.335 * inch, place, name, size=LABEL_SIZE, color=INK, va="center_baseline", **free
    )


def _dodged(panel: Panel) -> list[Line]:
    """The lines, those of one point moved apart sideways so that their bars can be told apart."""
    middle, step = (len(panel.lines) - 1) / 2, min(0.05, 0.7 / len(panel.lines))
    return [
        line._replace(ber=line.ber * 10 ** (step * (place - middle)))
        if len(line.ber) == 1
        else line
        for place, line in enumerate(panel.lines)
    ]


def _end(line: Line, frame: Frame) -> tuple[float, float]:
    last = np.flatnonzero(~np.isnan(line.mean))[-1]
    return frame.across(float(line.ber[last])), frame.up(float(line.mean[last]))


def turns(panel: Panel, frame: Frame) -> list[tuple[int, int]]:
    """For each line its turn, 0, 1, ..., among those that coincide with it, and how many they are.

    Lines of one BER are moved apart instead and never coincide.
    """
    groups: list[list[int]] = []
    least = SAME_LINE * (frame.high - frame.low)
    for place, line in enumerate(panel.lines):
        alike = (group for group in groups if _coincide(panel.lines[group[0]], line, least))
        group = next(alike, None)
        if group is None:
            groups.append([place])
        else:
            group.append(place)
    found = {place: (turn, len(group)) for group in groups for turn, place in enumerate(group)}
    return [found[place] for place in range(len(panel.lines))]


def _coincide(one: Line, other: Line, least: float) -> bool:
    if len(one.ber) < 2 or not np.array_equal(one.ber, other.ber):
        return False
    return bool(np.allclose(one.mean, other.mean, rtol=0, atol=least, equal_nan=True))


def _curve(
    axes: Axes, line: Line, style: Style, alpha: float | None, turn: tuple[int, int]
) -> None:
    """A line, with its band where `alpha` gives its opacity.

    One that coincides with others has only every other dash and marker.
    """
    if alpha is not None:
        axes.fill_between(line.ber, line.low, line.high, color=style.color, alpha=alpha, lw=0)
        for bound in (line.low, line.high):
            axes.plot(line.ber, bound, color=style.color, lw=0.35, alpha=0.5)
    place, share = turn
    dash = style.dash if share == 1 else (TURN * place, (TURN, TURN * (share - 1)))
    look: Any = {"color": style.color, "ls": dash, "marker": style.marker}
    # The marker of the last line would cover those below it at every point.
    markers = (-place % share, share)
    axes.plot(line.ber, line.mean, lw=1.1, ms=3, mew=0, markevery=markers, **look)
    hollow = line.partial & ~np.isnan(line.mean)
    if hollow.any():
        look = {"color": style.color, "marker": style.marker, "ls": "none", "mfc": "white"}
        axes.plot(line.ber[hollow], line.mean[hollow], ms=3, mew=0.6, **look)


def _single(axes: Axes, line: Line, style: Style) -> None:
    bars = np.maximum([line.mean - line.low, line.high - line.mean], 0)
    hollow: Any = {"mfc": "white", "mew": 0.6} if line.partial.any() else {"mew": 0}
    look: Any = {"color": style.color, "marker": style.marker, "ls": "none", **hollow}
    known = None if np.isnan(bars).any() else bars
    axes.errorbar(line.ber, line.mean, yerr=known, ms=4, lw=0.9, capsize=2, **look)


def _clean(axes: Axes, panel: Panel, frame: Frame, styles: Mapping[Protection, Style]) -> None:
    """The clean accuracy of the panel across it, and of lines that differ from it at the left."""
    known = {line.protection: line.clean for line in panel.lines if not math.isnan(line.clean)}
    if not known:
        return
    main = known.get((BASELINE, None), max(known.values()))
    axes.axhline(main, color=FAINT, ls=(0, (3, 2)), lw=0.7, zorder=1)
    third = frame.left * (frame.right / frame.left) ** (1 / 3)
    bands = [line.high[line.ber < third] for line in panel.lines]
    above = np.concatenate([[main], *bands])
    axes.annotate(
        f"clean {percent(main)} %",
        (0, frame.up(float(np.nanmax(above)))),
        xycoords="axes fraction",
        xytext=(2, 1.8),
        textcoords="offset points",
        size=6.2,
        color="#555555",
    )
    for protection, clean in known.items():
        if abs(clean - main) > SAME_CLEAN:
            axes.plot(
                [frame.left, frame.left * (frame.right / frame.left) ** 0.05],
                [clean] * 2,
                color=styles[protection].color,
                ls=(0, (1.5, 1)),
                lw=1.1,
            )


def _ticks(axes: Axes, panel: Panel, frame: Frame, box: Box) -> None:
    axes.set_xscale("log")
    axes.set_xlim(frame.left, frame.right)
    axes.set_ylim(frame.low, frame.high)
    marks = _bers_shown(panel, frame, max(2, int(box.width / 0.36)))
    axes.set_xticks(marks, [f"${power(rate_text(mark))}$" for mark in marks])
    axes.set_xticks([], minor=True)
    shares = _shares_shown(frame, box.height)
    axes.set_yticks(shares, [f"{100 * share:.4g}" for share in shares])
    axes.tick_params(labelsize=TICK_SIZE, length=2.5, width=0.6, pad=2, colors=INK)
    axes.grid(visible=True, lw=0.4, color="#E4E4E4")
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_linewidth(0.6)
        spine.set_color(INK)


def _bers_shown(panel: Panel, frame: Frame, most: int) -> list[float]:
    """Decades within the frame, thinned to `most`; measured BERs where there are not two."""
    first = math.ceil(math.log10(frame.left) - 1e-9)
    last = math.floor(math.log10(frame.right) + 1e-9)
    marks = [10.0**k for k in range(last, first - 1, -1)]
    if len(marks) < 2:
        marks = sorted({float(ber) for line in panel.lines for ber in line.ber}, reverse=True)
        most = max(1, most // 2)
    return marks[:: math.ceil(len(marks) / most)][::-1]


def _shares_shown(frame: Frame, height: float) -> list[float]:
    """Round accuracies, a quarter inch or more apart."""
    least = (frame.high - frame.low) * 0.25 / height
    steps = [base * 10.0**k for k in range(-4, 1) for base in (1, 2, 2.5, 5)]
    step = next((step for step in steps if step >= least), 1.0)
    marks = np.arange(math.ceil(frame.low / step), math.floor(frame.high / step) + 1) * step
    return [float(mark) for mark in marks if -1e-9 <= mark <= 1 + 1e-9]

"""One look for each line, the same in every panel, told apart also without colour."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

Protection: TypeAlias = "tuple[str, float | None]"
"""A method and its t."""
Dash: TypeAlias = "str | tuple[int, tuple[float, ...]]"

BASELINE = "none"
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colour-blind safe palette, less the yellow, too pale for lines on white."""
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES: tuple[Dash, ...] = (
    "-",
    (0, (4.0, 1.2)),
    (0, (4.0, 1.2, 1.0, 1.2)),
    (0, (1.0, 1.0)),
    (0, (7.0, 1.5, 1.0, 1.0, 1.0, 1.5)),
)


class Style(NamedTuple):
    """How a line is drawn, in matplotlib's terms."""

    color: str
    marker: str
    dash: Dash


def line_styles(protections: Iterable[Protection]) -> dict[Protection, Style]:
    """A style for each protection: hue and marker by method, shade and dash by t.

    The baseline is black. The order of the result is the order of legends: the baseline, then
    methods by name, then t upwards. Beyond six methods hues repeat with other markers and dashes.

    Example:
        >>> line_styles([("saf", None), ("none", None)])[("none", None)]
        Style(color='#000000', marker='o', dash='-')
    """
    ordered = sorted(set(protections), key=_rank)
    others = list(dict.fromkeys(method for method, _ in ordered if method != BASELINE))
    styles = {}
    for method, t in ordered:
        if method == BASELINE:
            hue, marker, turn = "#000000", "o", 0
        else:
            place = others.index(method)
            hue, marker = HUES[place % len(HUES)], MARKERS[place % len(MARKERS)]
            turn = place // len(HUES)
        siblings = [other for name, other in ordered if name == method]
        step = siblings.index(t)
        dash = DASHES[(step + turn) % len(DASHES)]
        styles[method, t] = Style(_shade(hue, step, len(siblings)), marker, dash)
    return styles


def _rank(protection: Protection) -> tuple[bool, str, float]:
    method, t = protection
    return method != BASELINE, method, -math.inf if t is None else t


def _shade(hue: str, step: int, steps: int) -> str:
    """`hue` from half white (step 0) over itself to half black (the last step)."""
    if steps == 1:
        return hue
    tint = 0.5 - step / (steps - 1)
    toward = 255 if tint > 0 else 0
    channels = (int(hue[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(c + (toward - c) * abs(tint)):02X}" for c in channels)

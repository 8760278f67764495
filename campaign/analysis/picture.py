"""Curves as a few lines of text: means at some rates, and a sparkline over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from campaign.analysis.labels import percent
from campaign.analysis.terminal import sparkline
from campaign.text import rate_text

WIDTH = 80
_NAME = 26
"""Widest name that shares a line with its numbers."""
_NUMBER = 8
_MOST_SIGNS = 24
_DOT = " · "


class Progress(NamedTuple):
    """One curve as far as it is known."""

    label: str
    """Model, dtype and method with `` · `` between; what has the first two in common stands under
    one head."""
    points: Sequence[tuple[float, float]]
    """(BER, mean accuracy so far), ascending."""
    done: str = ""
    """Such as ``30/50``."""


def picture(curves: Sequence[Progress], *, width: int = WIDTH, plain: bool = False) -> list[str]:
    r"""A block of lines for each model and number format, a row for each method.

    Args:
        curves: In the order of the rows.
        width: No line is wider, but for a head or a name that is.
        plain: ASCII only.

    Example:
        >>> made = [Progress("net · fp32 · none", [(0.0, 0.9), (1e-6, 0.5)], "2/2")]
        >>> print("\n".join(picture(made, width=40, plain=True)))
        net · fp32       0    1e-6   done
          none  @=    90.0    50.0    2/2
    """
    lines: list[str] = []
    for head, rows in _groups(curves):
        lines += [""] * bool(lines) + _block(head, rows, width, plain)
    return lines


def key(*, plain: bool = False) -> str:
    """What the signs and numbers are."""
    low, high = (sparkline([share], plain=plain) for share in (0.0, 1.0))
    return f"mean accuracy in % over bit error rate; {low} 0 % to {high} 100 %"


def _groups(curves: Sequence[Progress]) -> Iterator[tuple[str, list[Progress]]]:
    """Curves of one model and number format; what all of them say besides stands in the head."""
    groups: dict[str, list[tuple[list[str], Progress]]] = {}
    for curve in curves:
        parts = curve.label.split(_DOT)
        groups.setdefault(_DOT.join(parts[:2]), []).append((parts[2:], curve))
    for head, held in groups.items():
        least = min(len(parts) for parts, _ in held) - 1
        shared = list[str]()
        while len(shared) < least and len({parts[-1 - len(shared)] for parts, _ in held}) == 1:
            shared.insert(0, held[0][0][-1 - len(shared)])
        rows = [
            curve._replace(label=_DOT.join(parts[: len(parts) - len(shared)]))
            for parts, curve in held
        ]
        yield _DOT.join([head, *shared]), rows


def _block(head: str, rows: list[Progress], width: int, plain: bool) -> list[str]:
    bers = sorted({ber for row in rows for ber, _ in row.points})
    last = max(len("done"), *(len(row.done) for row in rows)) + 3
    name = min(_NAME, max(len(row.label) for row in rows))
    signs = _chosen(bers, min(_MOST_SIGNS, max(2, width - name - last - 2 * _NUMBER - 4)))
    taken = 2 + name + 2 + len(signs)
    shown = _chosen(bers, max(0, width - taken - last) // _NUMBER)
    numbers = "".join(rate_text(ber).rjust(_NUMBER) for ber in shown)
    lines = [head] if len(head) > taken else []
    lines.append(f"{'' if lines else head:{taken}}{numbers}{'done':>{last}}")
    for row in rows:
        means = dict(row.points)
        signs_of = sparkline([means.get(ber, math.nan) for ber in signs], plain=plain)
        numbers = "".join(percent(means.get(ber, math.nan)).rjust(_NUMBER) for ber in shown)
        lines += [f"  {row.label}"] if len(row.label) > name else []
        label = row.label if len(row.label) <= name else ""
        lines.append(f"  {label:{name}}  {signs_of:{len(signs)}}{numbers}{row.done:>{last}}")
    return lines


def _chosen(bers: list[float], most: int) -> list[float]:
    """At most so many of the rates, the first and last among them, evenly."""
    if len(bers) <= most:
        return bers
    if most < 2:
        return bers[-most:] if most else []
    return [bers[round(k * (len(bers) - 1) / (most - 1))] for k in range(most)]

"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = "_.-~=*#@"


def sparkline(
    values: Sequence[float], *, low: float = 0.0, high: float = 1.0, plain: bool = False
) -> str:
    """One sign for each value, higher for more; a blank for NaN.

    Args:
        values: Shares, or whatever lies within `low` and `high`; what is beyond is cut off.
        low: What the lowest sign stands for.
        high: What the highest stands for.
        plain: ASCII only, for terminals without block characters.

    Raises:
        ValueError: If `low` is not below `high`.

    Example:
        >>> sparkline([0.92, 0.92, 0.7, 0.3, 0.1], plain=True)
        '@@*-_'
    """
    if not low < high:
        raise ValueError(f"got low {low:g}, high {high:g}; allowed: low < high")
    signs = _PLAIN if plain else _BLOCKS
    return "".join(
        " " if math.isnan(value) else signs[_level((value - low) / (high - low), len(signs))]
        for value in values
    )


def _level(share: float, levels: int) -> int:
    return int(min(max(share, 0.0) * levels, levels - 1))

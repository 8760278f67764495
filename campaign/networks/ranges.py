"""What values activations take: ends of ranges and exact percentiles, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from campaign.lazy import torch
from campaign.networks.sites import Site, Visit

if TYPE_CHECKING:
    from torch import Tensor

Run: TypeAlias = "Callable[[Visit], object]"
"""Sends the same images through a network, batch by batch, and makes a visit at every site."""

DIGIT = 1 << 16
"""A float32 is sought by its upper and then by its lower 16 bits."""
MAGNITUDE = 0x7FFFFFFF
"""All its bits but the sign."""


class Range(NamedTuple):
    """What was seen at a site: float32, without a dimension; NaN where any value was NaN."""

    low: Tensor
    up: Tensor

    @property
    def reach(self) -> Tensor:
        """The largest magnitude."""
        return torch.maximum(-self.low, self.up)


def activation_ranges(run: Run) -> dict[int, Range]:
    """Smallest and largest output of each activation, by its place; one pass."""
    found: dict[int, Range] = {}

    def visit(site: Site, value: Tensor) -> Tensor:
        if site.kind == "activation" and value.numel():
            seen = Range(*torch.aminmax(value.detach().to(torch.float32)))
            held = found.get(site.place, seen)
            low, up = torch.minimum(held.low, seen.low), torch.maximum(held.up, seen.up)
            found[site.place] = Range(low, up)
        return value

    run(visit)
    return found


def activation_percentiles(run: Run, percentile: float) -> dict[int, Tensor]:
    """The percentile of the outputs of each activation, by its place; two passes.

    It is the smallest output that at least `percentile` % of all outputs do not exceed, so it is
    one of them, and 100 is the maximum. Nothing is sampled or interpolated: the first pass counts
    the upper halves of the numbers, the second the lower halves of those that have the upper half
    of the one sought. So a site needs a megabyte, however many images there are.

    Args:
        run: Makes the passes; each has the same values.
        percentile: In (0, 100].

    Returns:
        float32, without a dimension.
    """
    upper = _counts(run, lambda place, keys: _upper(keys))
    found = {place: _sought(counts, percentile) for place, counts in upper.items()}

    def lower_half(place: int, keys: Tensor) -> Tensor:
        return keys[_upper(keys) == found[place][0]] & (DIGIT - 1)

    lower = _counts(run, lower_half)
    return {
        place: _number(digit, _ranked(lower[place], rank), lower[place].device)
        for place, (digit, rank) in found.items()
    }


def _counts(run: Run, digit: Callable[[int, Tensor], Tensor]) -> dict[int, Tensor]:
    """How often each digit occurs at each activation: int64 (65536,), by its place."""
    counts: dict[int, Tensor] = {}

    def visit(site: Site, value: Tensor) -> Tensor:
        if site.kind == "activation" and value.numel():
            digits = digit(site.place, _keys(value.detach()))
            seen = torch.bincount(digits, minlength=DIGIT)
            counts[site.place] = counts[site.place] + seen if site.place in counts else seen
        return value

    run(visit)
    return counts


def _sought(counts: Tensor, percentile: float) -> tuple[int, int]:
    """The digit of the number sought, and its rank (from 1) among the numbers of this digit."""
    rank = math.ceil(Fraction(str(percentile)) * int(counts.sum()) / 100)
    digit = _ranked(counts, rank)
    return digit, rank - int(counts[:digit].sum())


def _ranked(counts: Tensor, rank: int) -> int:
    """The digit of the number of a rank (from 1)."""
    return int((counts.cumsum(0) < rank).sum())


def _keys(value: Tensor) -> Tensor:
    """Integers in the order of float32 values: int32, shape (k,)."""
    bits = value.to(torch.float32).contiguous().view(torch.int32).reshape(-1)
    return bits ^ ((bits >> 31) & MAGNITUDE)  # magnitudes of negative numbers grow downwards


def _upper(keys: Tensor) -> Tensor:
    """The upper half of each key: int32, in [0, 65536)."""
    return (keys >> 16) + DIGIT // 2


def _number(upper: int, lower: int, device: torch.device) -> Tensor:
    """The float32 value whose key has these digits."""
    key = ((upper - DIGIT // 2) << 16) + lower
    bits = key ^ MAGNITUDE if key < 0 else key
    return torch.tensor(bits, dtype=torch.int32, device=device).view(torch.float32)

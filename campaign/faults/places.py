"""Where cells fail, without the thresholds at which they do: what independent flips need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from campaign.faults.streams import Stream, Streams, uniform_of
from campaign.faults.thresholds import (
    FIRST_BLOCK,
    MOST_BLOCK,
    MOST_BY_HITS,
    PIECE,
    failing_cells,
)
from campaign.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Number = TypeVar("_Number", bound="np.generic")
FEW = 1024
"""Hits of a field up to which fields are drawn together; above, each is worth its calls."""
_FACTORS = 16
"""Numbers of at least 2^-53 whose product is no less than the smallest normal float64."""
_WORST_DOUBT = 0.05
"""Hits arrive one a unit of time on average: more doubt than this would seldom be settled."""


def failing_places(count: int, rate: float, stream: Stream) -> NDArray[np.int64]:
    """The positions of `failing_cells`, sooner.

    Hits are counted by logarithms of products, not by sums of logarithms. Where rounding could
    decide whether a hit comes before the end, the times are summed as `failing_cells` does.
    """
    if rate <= 0 or count == 0:
        return np.empty(0, dtype=np.int64)
    if rate > MOST_BY_HITS:
        return failing_cells(count, rate, stream).positions
    again = stream.copy()
    found = _places_until(-math.log1p(-rate) * count, count, stream)
    if found is None:
        return failing_cells(count, rate, again).positions
    found.sort()
    return _distinct(found).astype(np.int64, copy=False)


def failing_together(
    counts: Sequence[int], rate: float, streams: Streams
) -> list[NDArray[np.int64]]:
    """`failing_places` of many fields with at most about `FEW` hits each, in one go.

    Args:
        counts: Cells of each field, at least one.
        rate: In (0, `MOST_BY_HITS`].
        streams: Random numbers of each field.
    """
    every = np.array(counts, dtype=np.int64)
    starts = np.cumsum(every) - every
    ends = -math.log1p(-rate) * every
    last, active = np.zeros(every.size), np.arange(every.size)
    found, drawn, size = [], 0, FIRST_BLOCK
    while active.size:
        numbers = uniform_of(streams.raw(active.tolist(), drawn, 2 * size))
        gaps = np.negative(numbers[:, :size])
        np.cumsum(np.log1p(gaps, out=gaps), axis=1, out=gaps)
        times = last[active, None] - gaps
        places = (numbers[:, size:] * every[active, None]).astype(np.int64) + starts[active, None]
        found.append(places[times <= ends[active, None]])
        last[active] = times[:, -1]
        active = active[times[:, -1] <= ends[active]]
        drawn, size = drawn + 2 * size, min(2 * size, MOST_BLOCK)
    hits = np.concatenate(found)
    hits.sort()
    hits = _distinct(hits)
    bounds = np.searchsorted(hits, starts).tolist()
    pairs = zip(bounds, [*bounds[1:], hits.size], starts.tolist(), strict=True)
    return [hits[begin:end] - start for begin, end, start in pairs]


def expected_hits(count: int, rate: float) -> float:
    """How many hits fall on `count` cells until they fail at `rate`, on average."""
    return -math.log1p(-rate) * count if rate <= MOST_BY_HITS else math.inf


def _places_until(end: float, count: int, stream: Stream) -> NDArray[np.signedinteger] | None:
    """The cell of every hit until `end`; None where rounding could decide which is the last.

    Numbers are drawn in the order of `failing_cells`.
    """
    dtype = np.int32 if count <= 1 << 31 else np.int64
    found, last, size = [], 0.0, FIRST_BLOCK
    doubt = 2.0**-50 * MOST_BLOCK * end  # what the sums of a block may be wrong by, four times over
    while True:
        arrived = _arrived(size, last, end, doubt, stream)
        if arrived is None:
            return None
        hits, last = arrived
        cells = np.empty(hits, dtype=dtype)
        for start in range(0, hits, PIECE):
            where = stream.uniform(min(PIECE, hits - start))
            where *= count
            cells[start : start + where.size] = where
        found.append(cells)
        if hits < size:
            stream.skip(size - hits)
            return np.concatenate(found)
        size = min(2 * size, MOST_BLOCK)


def _arrived(
    size: int, last: float, end: float, doubt: float, stream: Stream
) -> tuple[int, float] | None:
    """How many of the `size` hits after `last` come until `end`, and the time of the last one.

    None where a hit is in doubt.
    """
    if doubt > _WORST_DOUBT:
        return None
    for start in range(0, size, PIECE):
        left = np.subtract(1.0, stream.uniform(min(PIECE, size - start)))
        after = last - float(np.log(_products(left)).sum())
        if after < end - doubt:
            last = after
            continue
        times = last - np.cumsum(np.log(left))
        early, late = np.searchsorted(times, (end - doubt, end + doubt)).tolist()
        if early < late:
            return None
        if early == times.size:
            last = float(times[-1])
            continue
        stream.skip(size - start - left.size)
        return start + early, last
    return size, last


def _products(factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Products of `_FACTORS` numbers each, together the product of all."""
    found: NDArray[np.float64] = np.multiply.reduce(factors.reshape(_FACTORS, -1), axis=0)
    return found


def _distinct(ordered: NDArray[_Number]) -> NDArray[_Number]:
    """Ascending numbers, each once."""
    first = np.empty(ordered.size, dtype=np.bool_)
    first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered if first.all() else ordered[first]

"""A threshold for each cell: the rate from which on it fails."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from campaign.faults.exposed import Exposed, FieldKey
from campaign.faults.streams import Stream
from campaign.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


FIRST_BLOCK = 64
MOST_BLOCK = 1 << 20
PIECE = 1 << 14
"""Numbers that are computed with at a time, so that they stay in cache."""
MOST_BY_HITS = 0.875
"""Up to this rate, hits are drawn; above it, most would fall on cells that were hit before."""


class Cells(NamedTuple):
    """Cells that fail, and from which rate on."""

    positions: NDArray[np.int64]
    """Ascending and distinct."""
    thresholds: NDArray[np.float64]


def failing_cells(count: int, rate: float, stream: Stream) -> Cells:
    """Those of `count` cells whose threshold is at most `rate`.

    Every cell has a threshold u, uniform on (0, 1) and fixed by the stream; it fails iff u <= rate.
    So the cells that fail at a lower rate are among those at a higher one (nested common random
    numbers). Hits arrive at random cells as a Poisson process of rate 1 a cell; the first hit of a
    cell, at time s, gives it the threshold 1 - exp(-s), which is uniform, and independent of all
    others because the process of each cell is. Time and memory grow with the cells that fail, and
    above `MOST_BY_HITS` with all cells.

    Source: the splitting of a Poisson process, Kingman, Poisson Processes, 1993, 2.4.
    """
    if rate <= 0 or count == 0:
        return Cells(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))
    places, times = _hits(count, -math.log1p(-min(rate, MOST_BY_HITS)) * count, stream)
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    first = np.diff(ordered, prepend=-1) > 0
    found = Cells(ordered[first], -np.expm1(-times[order[first]] / count))
    return found if rate <= MOST_BY_HITS else _rest(found, count, rate, stream)


def _hits(count: int, end: float, stream: Stream) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cell and time (in units of 1 / count) of every hit until `end`, in order.

    Hits are drawn in blocks of sizes that do not depend on `end`, so that a time is always summed
    in the same way: the hits until an earlier end are the first of those until a later one. Of a
    block, all gaps come before all places; what `end` makes needless is skipped.
    """
    places, times, last, size = [], [], 0.0, FIRST_BLOCK
    while last <= end:
        arrived = _arrivals(size, last, end, stream)
        last = float(arrived[-1][-1])
        if last > end:
            arrived[-1] = arrived[-1][: int(np.searchsorted(arrived[-1], end, "right"))]
        for piece in arrived:
            places.append(_cells(piece.size, count, stream))
        stream.skip(size - sum(map(len, arrived)))
        times += arrived
        size = min(2 * size, MOST_BLOCK)
    if len(places) == 1:
        return places[0], times[0]
    return np.concatenate(places), np.concatenate(times)


def _arrivals(size: int, last: float, end: float, stream: Stream) -> list[NDArray[np.float64]]:
    """Times of the `size` hits after `last`, in pieces, none of which begins after `end`."""
    found, summed = [], 0.0
    for start in range(0, size, PIECE):
        gaps = stream.uniform(min(PIECE, size - start))
        np.log1p(np.negative(gaps, out=gaps), out=gaps)
        gaps[0] += summed  # so that sums are those of the whole block, to the bit
        np.cumsum(gaps, out=gaps)
        summed = float(gaps[-1])
        found.append(np.subtract(last, gaps, out=gaps))
        if gaps[-1] > end:
            stream.skip(size - start - gaps.size)
            break
    return found


def _cells(size: int, count: int, stream: Stream) -> NDArray[np.int64]:
    """Random cells, any of `count`."""
    where = stream.uniform(size)
    where *= count
    return where.astype(np.int64)


def _rest(found: Cells, count: int, rate: float, stream: Stream) -> Cells:
    """`found`, and of the cells without a hit those whose threshold, now drawn, is low enough."""
    missing = np.ones(count, dtype=np.bool_)
    missing[found.positions] = False
    places = np.flatnonzero(missing)
    drawn = 1.0 - (1.0 - MOST_BY_HITS) * stream.uniform(places.size)
    kept = drawn <= rate
    thresholds = np.empty(count)
    thresholds[found.positions], thresholds[places] = found.thresholds, drawn
    missing[places[~kept]] = False
    missing[found.positions] = True
    failing = np.flatnonzero(missing)
    return Cells(failing, thresholds[failing])


def lowest(
    memory: Mapping[FieldKey, Exposed], count: int, seed: int
) -> dict[FieldKey, NDArray[np.int64]]:
    """The `count` exposed bits of the lowest thresholds: any set of that size is equally likely.

    The thresholds are those of independent flips, so the bits are the first `count` that
    `bit_flip` would flip with this seed as the rate grows. Time and memory grow with `count`.

    Raises:
        ValueError: If `memory` has fewer exposed bits.
    """
    total = sum(exposed.bits for exposed in memory.values())
    if count > total:
        raise ValueError(f"{count} flips do not fit into {total} exposed bits")
    if count == 0:
        return {}
    rate = (count + 6.0 * math.sqrt(count) + 6.0) / total
    while True:
        found = {key: _exposed_cells(key, held, rate, seed) for key, held in memory.items()}
        if sum(cells.positions.size for cells in found.values()) >= count:
            break
        rate *= 2.0
    levels = np.concatenate([cells.thresholds for cells in found.values()])
    chosen = np.zeros(levels.size, dtype=np.bool_)
    chosen[np.argsort(levels, kind="stable")[:count]] = True
    ends = np.cumsum([cells.positions.size for cells in found.values()])[:-1]
    parts = np.split(chosen, ends)
    return {
        key: cells.positions[part] for (key, cells), part in zip(found.items(), parts, strict=True)
    }


def _exposed_cells(key: FieldKey, exposed: Exposed, rate: float, seed: int) -> Cells:
    stream = Stream(seed, key.tensor, key.field, exposed.words.width)
    found = failing_cells(exposed.words.bits, rate, stream)
    kept = exposed.may_flip(found.positions)
    return Cells(found.positions[kept], found.thresholds[kept])

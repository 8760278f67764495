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


class Cells(NamedTuple):
    """Cells that fail, and from which rate on."""

    positions: NDArray[np.int64]
    """Ascending and distinct."""
    thresholds: NDArray[np.float64]


def failing_cells(count: int, rate: float, stream: Stream) -> Cells:
    """Those of `count` cells whose threshold is at most `rate`.

    Every cell has a threshold u, uniform on (0, 1] and fixed by the stream; it fails iff u <= rate.
    So the cells that fail at a lower rate are among those at a higher one (nested common random
    numbers). Only the thresholds up to `rate` are ever made: they are drawn in bands
    (2^-(k+1), 2^-k], each an independent Bernoulli process of its own (geometric gaps), and a cell
    takes its lowest. The first band, from 0, is the one in which about one cell of all is
    expected; the last ends at 1. Time and memory grow with the cells that fail.
    """
    if rate <= 0 or count == 0:
        return Cells(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))
    places, levels, low = [], [], 0.0
    for exponent in range(count.bit_length(), -1, -1):
        high = 2.0**-exponent
        hits = bernoulli_positions(count, (high - low) / (1.0 - low), stream)
        thresholds = high - (high - low) * stream.uniform(hits.size)
        kept = thresholds <= rate
        places.append(hits[kept])
        levels.append(thresholds[kept])
        if rate <= high:
            break
        low = high
    return _lowest_of_each(np.concatenate(places), np.concatenate(levels))


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


def bernoulli_positions(count: int, rate: float, stream: Stream) -> NDArray[np.int64]:
    """The successes of `count` independent trials of probability `rate`, ascending.

    The gaps between successes are geometric, 1 + floor(log(1 - u) / log(1 - rate)), which gives
    exactly the Bernoulli process in O(successes). Source: Devroye, Non-Uniform Random Variate
    Generation, 1986, X.2.

    Example:
        >>> bernoulli_positions(5, 1.0, Stream(0, "w", "payload", 8))
        array([0, 1, 2, 3, 4])
    """
    if rate >= 1.0:
        return np.arange(count, dtype=np.int64)
    log_miss = math.log1p(-rate)
    expected = count * rate
    block = int(expected + 6.0 * math.sqrt(expected) + 4.0)
    parts, last = [], -1
    while last < count:
        gaps = np.floor(np.log1p(-stream.uniform(block)) / log_miss) + 1.0
        ends = last + np.cumsum(np.minimum(gaps, count + 1.0)).astype(np.int64)
        parts.append(ends)
        last = int(ends[-1])
    positions = np.concatenate(parts)
    return positions[: int(np.searchsorted(positions, count))]


def _exposed_cells(key: FieldKey, exposed: Exposed, rate: float, seed: int) -> Cells:
    stream = Stream(seed, key.tensor, key.field, exposed.words.width)
    found = failing_cells(exposed.words.bits, rate, stream)
    kept = exposed.may_flip(found.positions)
    return Cells(found.positions[kept], found.thresholds[kept])


def _lowest_of_each(positions: NDArray[np.int64], thresholds: NDArray[np.float64]) -> Cells:
    """Each position once, ascending, with the threshold that stands first (of the lowest band)."""
    order = np.argsort(positions, kind="stable")
    ordered = positions[order]
    first = np.diff(ordered, prepend=-1) > 0
    return Cells(ordered[first], thresholds[order[first]])

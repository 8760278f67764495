"""Upsets of several adjacent cells of a memory row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from pydantic import ConfigDict, Field

from campaign.faults.base import FAULTS, FaultModel
from campaign.faults.places import failing_places
from campaign.faults.streams import Stream
from campaign.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from campaign.bits import Words

_BISECTIONS = 60


@FAULTS.register
@dataclass(frozen=True)
class Burst(FaultModel):
    """Events that flip `length` adjacent bits of a memory row; `ber` is the expected share.

    The bits of each field (word after word, least significant first) fill rows of `row_bits`, from
    the start of a row; an event starts at any cell from which it fits into its row, and takes a row
    that is shorter than `length` as a whole. Every start has an event with the same probability
    q, independently, and a bit flips once however many events cover it. q is such that the expected
    share of flipped bits of the field, exempt bits included, is `ber`: about ber / length where
    that is small. Cells at the ends of a row are covered by fewer starts than those inside. Starts
    have thresholds as bits of `bit_flip` do, so flips are nested across BER, and `length` 1 is
    `bit_flip`.
    Cost: O(flips) time and memory. Source: multi-cell upsets, Ibe et al., Impact of scaling on
    neutron-induced soft error in SRAMs, IEEE Trans. Electron Devices 57(7), 2010.

    Args:
        length: Adjacent bits that an event flips.
        row_bits: Bits of a row of the memory, at least `length`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "burst"

    length: Annotated[int, Field(ge=1, le=65_536, strict=True)] = 2
    row_bits: Annotated[int, Field(ge=1, le=1_048_576, strict=True)] = 512

    def __post_init__(self) -> None:
        if self.length > self.row_bits:
            raise ValueError(
                f"got length {self.length}; allowed: at most row_bits = {self.row_bits}"
            )

    def sample(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        rows, rest = divmod(words.bits, self.row_bits)
        full, short = _starts(self.row_bits, self.length), _starts(rest, self.length)
        rate = _event_rate(words.bits, self.row_bits, self.length, ber)
        starts = failing_places(rows * full + short, rate, stream)
        row = np.minimum(starts // full, rows)
        column = starts - row * full
        covered = np.arange(self.length, dtype=np.int64) + column[:, None]
        inside = covered < np.where(row < rows, self.row_bits, rest)[:, None]
        positions = np.sort((covered + row[:, None] * self.row_bits)[inside])
        return positions[np.diff(positions, prepend=-1) > 0]


class _Row(NamedTuple):
    """A row: how many of its cells are covered by each number of starts."""

    covers: NDArray[np.float64]
    cells: NDArray[np.float64]

    def expected(self, rate: float) -> float:
        """How many cells flip where each start has an event with probability `rate`."""
        return float((self.cells * -np.expm1(self.covers * math.log1p(-rate))).sum())


def _starts(bits: int, length: int) -> int:
    """At how many cells of a row an event can start."""
    return max(bits - length + 1, min(bits, 1))


def _row(bits: int, length: int) -> _Row:
    starts = _starts(bits, length)
    column = np.arange(bits, dtype=np.int64)
    first, last = np.maximum(column - length + 1, 0), np.minimum(column, starts - 1)
    covers, cells = np.unique(last - first + 1, return_counts=True)
    return _Row(covers.astype(np.float64), cells.astype(np.float64))


@lru_cache(maxsize=4096)
def _event_rate(bits: int, row_bits: int, length: int, ber: float) -> float:
    """The probability of an event at which a share `ber` of all bits is expected to flip."""
    if ber <= 0 or ber >= 1 or bits == 0:
        return ber
    rows, rest = divmod(bits, row_bits)
    full, short = _row(row_bits, length), _row(rest, length)
    low, high = 0.0, ber  # a cell is covered by at least one start
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if rows * full.expected(middle) + short.expected(middle) < ber * bits:
            low = middle
        else:
            high = middle
    return high

"""Zeros and ones that flip at rates of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

from campaign.bits import stored_bits
from campaign.faults.base import FAULTS, FaultModel
from campaign.faults.streams import Stream
from campaign.faults.thresholds import failing_cells
from campaign.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from campaign.bits import Words

Multiple = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


@FAULTS.register
@dataclass(frozen=True)
class Asymmetric(FaultModel):
    """A stored 0 flips with probability zero_to_one * ber, a stored 1 with one_to_zero * ber.

    Probabilities end at 1. Thresholds are those of `bit_flip`, so flips are nested across BER, and
    with both multiples 1 they are those of `bit_flip`. Multiples that add up to 2 keep the expected
    flips of a memory in which ones and zeros balance.
    Cost: O(flips) time and memory. Source: asymmetric memories, such as STT-MRAM and DRAM
    retention cells, that lose one value more often than the other.

    Args:
        zero_to_one: Rate of stored zeros as a multiple of ber.
        one_to_zero: Rate of stored ones as a multiple of ber.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "asymmetric"

    zero_to_one: Multiple = 1.0
    one_to_zero: Multiple = 1.0

    def __post_init__(self) -> None:
        if self.zero_to_one == self.one_to_zero == 0:
            raise ValueError("zero_to_one and one_to_zero are both 0: nothing would ever flip")

    def sample(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        highest = min(1.0, ber * max(self.zero_to_one, self.one_to_zero))
        cells = failing_cells(words.bits, highest, stream)
        multiples = np.array([self.zero_to_one, self.one_to_zero])
        rates = (ber * multiples)[stored_bits(words, cells.positions)]
        return cells.positions[cells.thresholds <= rates]

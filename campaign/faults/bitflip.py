"""Independent bit flips: every stored bit flips with probability BER."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict

from campaign.faults.base import FAULTS, FaultModel
from campaign.faults.streams import Stream
from campaign.faults.thresholds import failing_places
from campaign.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from campaign.bits import Words


@FAULTS.register
@dataclass(frozen=True)
class BitFlip(FaultModel):
    """Each bit flips independently with probability `ber`; the count is Binomial(bits, ber).

    Every bit has a threshold u, uniform on (0, 1), fixed by the seed; it flips iff u <= ber. So the
    flips at a lower BER are a subset of those at a higher one (nested common random numbers).
    Cost: O(flips) time and memory. Source: the fault model of arXiv 2411.18993 and 2006.13977.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "bit_flip"

    def sample(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        return failing_places(words.bits, ber, stream)

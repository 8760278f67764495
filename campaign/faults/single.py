"""One flip: statistical single-fault injection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict

from campaign.faults.base import FAULTS, FaultModel
from campaign.faults.exposed import Exposed, FieldKey
from campaign.faults.streams import Stream
from campaign.faults.thresholds import lowest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from campaign.bits import Words


@FAULTS.register
@dataclass(frozen=True)
class SingleFlip(FaultModel):
    """One bit of the whole memory flips, every exposed bit as likely: single-fault injection.

    One seed is one fault, drawn from all whatever other seeds drew, so two may be the same;
    `campaign.analysis.sample_size` without a population says how many a margin of error takes.
    For a stratum expose it alone: ``targets: {only_bits: exponent}``, or parameters by name. The
    rate only tells the fault-free trial (0) from the others; a spec gives one rate above 0.
    Cost: O(parameters) time and memory. Source: Leveugle et al., Statistical fault injection,
    DATE 2009.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "single_flip"

    @property
    def flips(self) -> int:
        return 1

    @property
    def estimates_share(self) -> bool:
        return True

    @property
    def takes_ber(self) -> bool:
        return False

    def sample(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        return self.sample_alone(words, ber, stream)

    def sample_all(
        self, memory: Mapping[FieldKey, Exposed], ber: float, seed: int
    ) -> dict[FieldKey, NDArray[np.int64]]:
        exposed = any(held.bits for held in memory.values())
        return lowest(memory, 1, seed) if ber > 0 and exposed else {}

"""Exactly k flips, wherever they fall in the memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

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
class ExactFlips(FaultModel):
    """Exactly k distinct bits of the whole memory flip; every set of k exposed bits is as likely.

    They are the k bits of lowest threshold, so those of a smaller k are among those of a larger one
    with the same seed, and they are the first k that `bit_flip` would flip as its rate grows. With
    `count` the rate only tells the fault-free trial (0) from the others; a spec then gives one rate
    above 0. A memory of fewer exposed bits is refused.
    Cost: O(flips) time and memory. Source: flips per tensor at a rate, int(bits * ber), in the
    public code of arXiv 2406.06313; here over the whole memory, rounded, without repeats.

    Args:
        count: k; null takes the whole number nearest to ber times the exposed bits (halves up).
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "exact_flips"

    count: Annotated[int, Field(ge=1, strict=True)] | None = None

    @property
    def flips(self) -> int | None:
        return self.count

    @property
    def takes_ber(self) -> bool:
        return self.count is None

    def sample(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        return self.sample_alone(words, ber, stream)

    def sample_all(
        self, memory: Mapping[FieldKey, Exposed], ber: float, seed: int
    ) -> dict[FieldKey, NDArray[np.int64]]:
        if ber == 0:
            return {}
        total = sum(exposed.bits for exposed in memory.values())
        count = math.floor(ber * total + 0.5) if self.count is None else self.count
        return lowest(memory, count, seed)

"""Independent bit flips: every stored bit flips with probability BER."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict

from campaign.faults.base import FAULTS, FaultModel
from campaign.faults.exposed import Exposed, FieldKey
from campaign.faults.places import FEW, expected_hits, failing_places, failing_together
from campaign.faults.streams import Stream, Streams
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

    @property
    def samples_fields(self) -> bool:
        return True

    def sample_all(
        self, memory: Mapping[FieldKey, Exposed], ber: float, seed: int
    ) -> dict[FieldKey, NDArray[np.int64]]:
        if ber <= 0:
            return super().sample_all(memory, ber, seed)
        most, counts = FEW / expected_hits(1, ber), [held.words.bits for held in memory.values()]
        small = {
            key: held
            for (key, held), bits in zip(memory.items(), counts, strict=True)
            if 0 < bits <= most
        }
        if len(small) < 2:
            return super().sample_all(memory, ber, seed)
        streams = Streams(seed, [(*key, held.words.width) for key, held in small.items()])
        drawn = failing_together([bits for bits in counts if 0 < bits <= most], ber, streams)
        together = dict(zip(small, drawn, strict=True))
        if len(small) < len(memory):
            others = {key: held for key, held in memory.items() if key not in small}
            together |= super().sample_all(others, ber, seed)
        for key, held in small.items():
            if held.exempt:
                together[key] = together[key][held.may_flip(together[key])]
        return {key: together[key] for key in memory}

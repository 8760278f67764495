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
        small = {
            key: held
            for key, held in memory.items()
            if 0 < ber and 0 < held.words.bits and expected_hits(held.words.bits, ber) <= FEW
        }
        if len(small) < 2:
            return super().sample_all(memory, ber, seed)
        streams = Streams(seed, ((*key, held.words.width) for key, held in small.items()))
        drawn = failing_together([held.words.bits for held in small.values()], ber, streams)
        together = dict(zip(small, drawn, strict=True))
        others = {key: held for key, held in memory.items() if key not in small}
        found = super().sample_all(others, ber, seed)
        for key, held in small.items():
            places = together[key]
            found[key] = places[held.may_flip(places)] if held.exempt else places
        return {key: found[key] for key in memory}

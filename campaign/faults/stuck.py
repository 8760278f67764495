"""Cells stuck at 0 or at 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from campaign.bits import stored_bits
from campaign.faults.base import FAULTS, FaultModel
from campaign.faults.places import failing_places
from campaign.faults.streams import Stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from campaign.bits import Words


@FAULTS.register
@dataclass(frozen=True)
class StuckAt(FaultModel):
    """Each cell is stuck with probability `ber`; it flips where it held the other value.

    Stuck cells are those that `bit_flip` would flip with the same seed, so they are nested across
    BER, and a cell keeps the value it is stuck at. Cells that hold this value already do no harm:
    flipped bits are the others, about half of the stuck cells where ones and zeros balance.
    Activations are refused: which cells hold them, again and again, is not modelled.
    Cost: O(stuck cells) time and memory. Source: permanent faults of the memory in statistical
    fault injection, Ruospo et al., DATE 2023.

    Args:
        value: What a cell is stuck at: 0, 1, or ``random`` for either with probability 1/2.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "stuck_at"

    value: Literal[0, 1, "random"] = "random"

    @property
    def permanent(self) -> bool:
        return True

    def sample(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        cells = failing_places(words.bits, ber, stream)
        stuck = stream.coins(cells) if self.value == "random" else self.value
        harmed: NDArray[np.bool_] = stored_bits(words, cells) != stuck
        return cells[harmed]

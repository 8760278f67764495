"""The bit-flip attack: a progressive search for the bits that hurt most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

from campaign.faults.base import FAULTS, FaultModel
from campaign.faults.exposed import Exposed, FieldKey
from campaign.faults.ranking import highest
from campaign.faults.streams import Stream
from campaign.lazy import np, torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from campaign.bits import Words
    from campaign.faults.subject import Flips, Subject

AtLeastOne = Annotated[int, Field(ge=1, strict=True)]


@FAULTS.register
@dataclass(frozen=True)
class BitFlipAttack(FaultModel):
    """Flip `count` bits, one after another, each the one that raises the loss most (BFA).

    In each step every payload bit has a first-order gain, the gradient of the loss by its weight,
    as read with the flips so far, times what the weight would change by. The bits of highest gain
    of each exposed parameter are tried, and of all of them the flip with the highest loss is kept,
    even where no flip raises it. A bit flips once; check words and stored scales are never flipped.
    Gains ignore codes, the losses that decide do not: what a code repairs wins only where nothing
    tried does harm. A flip that makes a weight NaN or infinite has an infinite gain, and answers
    that are not finite an infinite loss; gradients that are not finite count as 0. Equal gains
    go to the lower position, equal losses to the earlier parameter. Gains
    and losses that nearly tie may fall differently by device and number of threads, which add in
    another order; flips after that may all differ.

    The rate only tells the fault-free trial (0) from the others; a spec gives one rate above 0.
    Fewer flips of one seed are the first of more.
    Cost: per flip, one gradient, a reading of the memory for every bit of a word, and `candidates`
    evaluations of the attacker's images for every exposed parameter. Source: Rakin et al.,
    Bit-Flip Attack, ICCV 2019 (arXiv 1903.12269). Departs: gains are of single bits of any number
    format, not of the bits of the weights of highest gradient; a step flips one bit, where the
    public code flips more while the loss does not rise; the images are not those of the test.

    Args:
        count: Bits to flip; a memory of fewer exposed payload bits is refused.
        candidates: Bits of each parameter that are tried in a step.
        images: Images of the profile split that the attacker has, drawn by the seed; all where
            the split has no more, and then every seed gives the same flips and a spec gives one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "bit_flip_attack"

    count: AtLeastOne
    candidates: AtLeastOne = 1
    images: AtLeastOne = 128

    @property
    def flips(self) -> int:
        return self.count

    @property
    def takes_ber(self) -> bool:
        return False

    @property
    def attacks(self) -> bool:
        return True

    def ignores_seed(self, images: int) -> bool:
        return self.images >= images

    def sample(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        raise TypeError(f"{self.name} must look at the network: call attack, not sample")

    def attack(self, subject: Subject, ber: float, seed: int) -> Flips:
        if ber == 0:
            return {}
        total = sum(held.bits for key, held in subject.memory.items() if key.field == "payload")
        if self.count > total:
            raise ValueError(f"{self.count} flips do not fit into {total} exposed payload bits")
        sampled = subject.sampled(self.images, seed)
        flips: Flips = {}
        for _ in range(self.count):
            flips = max(self._trials(sampled, flips), key=sampled.loss)
        return flips

    def _trials(self, subject: Subject, flips: Flips) -> Iterator[Flips]:
        """The flips so far and one more, for each candidate."""
        gradients = subject.gradients(flips)
        for key, exposed in subject.memory.items():
            if key.field != "payload":
                continue
            gains = _best_gains(
                subject, key, exposed, flips, gradients[key.tensor], self.candidates
            )
            for position in gains:
                yield _with(flips, key, position)


def _best_gains(
    subject: Subject,
    key: FieldKey,
    exposed: Exposed,
    flips: Flips,
    gradient: Tensor,
    count: int,
) -> list[int]:
    """Positions of the bits of highest first-order gain of one parameter, highest first."""
    width = exposed.words.width
    taken = torch.from_numpy(flips.get(key, np.empty(0, dtype=np.int64))).to(gradient.device)
    slope = gradient.double().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    positions, gains = [], []
    for bit in sorted(set(range(width)) - exposed.exempt):
        swing = subject.swing(key.tensor, bit, flips)
        gain = torch.where(swing.isinf(), torch.inf, slope * swing).reshape(-1)
        gain[taken[taken % width == bit] // width] = -torch.inf
        best = highest(gain, count)
        positions.append(best * width + bit)
        gains.append(gain[best])
    if not positions:
        return []
    ordered, order = torch.cat(positions).sort()
    found: list[int] = ordered[highest(torch.cat(gains)[order], count)].tolist()
    return found


def _with(flips: Flips, key: FieldKey, position: int) -> Flips:
    """The flips and one more."""
    held = flips.get(key, np.empty(0, dtype=np.int64))
    return {**flips, key: np.sort(np.append(held, np.int64(position)))}

"""A network in memory, as those see it who must look at it before they act.

Protections that learn bounds of activations, and faults that seek the worst bits, look at it once
per setup or trial; the images are those of the profile split, never the ones that trials are
judged on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

from campaign.faults.exposed import Exposed, FieldKey
from campaign.networks.sites import Visit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

Flips: TypeAlias = "Mapping[FieldKey, NDArray[np.int64]]"
"""Positions of flipped bits by field, as `campaign.faults.FaultModel.sample_all` gives them."""


class Subject(Protocol):
    """A network as stored, and the images of the profile split.

    Whatever is asked, the network is left as it was, to the bit.
    """

    @property
    def module(self) -> nn.Module:
        """The live network, in eval mode, with the weights as read without faults."""

    @property
    def memory(self) -> Mapping[FieldKey, Exposed]:
        """The stored words, and which of their bits may flip."""

    @property
    def n_images(self) -> int:
        """How many images the profile split has."""

    @property
    def bit_classes(self) -> Mapping[str, range]:
        """Named groups of bit positions of a payload word, such as ``sign``."""

    def sampled(self, images: int, seed: int) -> Subject:
        """The same network with `images` of the images, which `seed` draws; all if fewer."""

    def weights(self, flips: Flips) -> Mapping[str, Tensor]:
        """Exposed parameters as read with `flips`, float32, by name."""

    def meanings(self, flips: Flips) -> Mapping[str, Tensor]:
        """`weights` in the scale of the trained network, where it computes with scaled ones."""

    def logits(self, flips: Flips, visit: Visit | None = None) -> Tensor:
        """Answers to every image of the split with `flips`, float32 (images, classes).

        Args:
            flips: Bits that are flipped.
            visit: Made at every site, after the guards that already stand.
        """

    def correct(self, flips: Flips, visit: Visit | None = None) -> int:
        """Images of the split with the right class and finite logits."""

    def loss(self, flips: Flips) -> float:
        """Mean cross entropy over the split; infinity where a logit is not finite."""

    def gradients(self, flips: Flips) -> Mapping[str, Tensor]:
        """Gradient of `loss` by each exposed parameter as read with `flips`, float32, by name."""

    def swing(self, name: str, bit: int, flips: Flips) -> Tensor:
        """What each weight would change by if this one bit of its payload word flipped as well.

        Words are read as they stand, without the corrections of codes; exact where methods restore
        weights one by one.

        Args:
            name: The parameter.
            bit: Position in a word, 0 = least significant.
            flips: Bits that are flipped already.

        Returns:
            float64 in the shape of the parameter, for two float32 may lie further apart than
            float32 reaches; infinity where a finite weight would become NaN or infinite, 0 where it
            is not finite already.
        """

    def draw(self, ber: float, seed: int) -> Flips:
        """Independent flips at `ber`; other bits than those of a trial with this seed."""

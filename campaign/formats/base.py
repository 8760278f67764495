"""What every number format does: float32 values to words and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from campaign.formats.blocks import broadcast_at
from campaign.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from campaign.bits import Words


class NumberFormat(ABC):
    """A number format: a frozen dataclass whose fields are its options.

    Values are float32 on both sides: *storage* is what is studied, computation is not. `encode`
    rounds to nearest (ties to even) unless an option says otherwise, and saturates; `decode` is
    total, because a fault can make any bit pattern. Scales are held in protected memory, unless
    `scale_width` says that they are stored words themselves.
    """

    name: ClassVar[str]
    """What a spec calls it; a family states a template and a `pattern`."""
    scale_width: ClassVar[int | None] = None
    """Bits of each number in the scale where it is stored and faultable as the field ``scale``.

    `calibrate` then gives the data of `Words` of this width, and `decode` reads any bits of them.
    """

    scale_block: ClassVar[int | None] = None
    """Values that share such a scale, at most."""

    pointwise: ClassVar[bool] = False
    """Whether `decode` reads a word without looking at others, so that `decode_at` may be asked.

    Stored scales must then have the shape that `campaign.formats.blocks.spread` takes, for blocks
    of `scale_block` values. A class that overrides `decode` says this again, or is read whole.
    """

    clips: ClassVar[bool] = False
    """Whether values beyond `largest` are stored on purpose, as clipping."""

    @property
    @abstractmethod
    def label(self) -> str:
        """The name in rows, figures and tables, such as ``q2_5``."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Bits per word."""

    @property
    @abstractmethod
    def largest(self) -> float | None:
        """The largest finite value, or None where `calibrate` fits the range to the values."""

    @property
    @abstractmethod
    def bit_classes(self) -> Mapping[str, range]:
        """Named groups of bit positions (0 = least significant), such as ``exponent``."""

    @property
    def zero_word_is_zero(self) -> bool:
        """Whether a word without a set bit is the number 0, so that clearing a word zeroes it."""
        return True

    @property
    def twos_complement(self) -> bool:
        """Whether a word is a signed integer whose order is that of the values."""
        return False

    @property
    def one_scale(self) -> bool:
        """Whether one scale for all values, or none, is all that `encode` needs.

        Such a scale serves tensors of any shape, so activations can be stored with it.
        """
        return self.largest is not None and self.scale_width is None

    def calibrate(self, values: Tensor) -> Tensor | None:
        """The scale for `values` (float32), in the form `encode` and `decode` take; or None."""
        return None

    @abstractmethod
    def encode(self, values: Tensor, scale: Tensor | None) -> Words:
        """Round float32 `values` to the nearest code, saturating; the shape is kept."""

    @abstractmethod
    def decode(self, words: Words, scale: Tensor | None) -> Tensor:
        """Read words as float32 of the same shape; any bit pattern has a value.

        The result may share the memory of `words`: write to a copy.
        """

    def decode_at(
        self, words: Words, scale: Tensor | None, shape: Sequence[int], index: Tensor
    ) -> Tensor:
        """Read some words of a tensor as `decode` does in their places; asked where `pointwise`.

        Without more, `decode` gets the scale of each word: one for all, or gathered from one that
        broadcasts against `shape`.

        Args:
            words: The words, shape (k,).
            scale: The scale of the whole tensor.
            shape: Of the whole tensor.
            index: Flat places of the words in it, int64, shape (k,).

        Returns:
            float32, shape (k,).
        """
        known = None if scale is None else broadcast_at(scale, shape, index)
        return self.decode(words, known)


FORMATS: Registry[NumberFormat] = Registry("dtype", "campaign.formats", "campaign.formats")

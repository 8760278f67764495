"""N-modular redundancy: every word is stored n times, a vote decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from campaign.bits import Words, mask_to_width, signed
from campaign.bits.blocks import block_count
from campaign.bits.copies import copies_of, majority, median, vote_operations
from campaign.formats import NumberFormat
from campaign.lazy import torch
from campaign.methods.base import METHODS, Decoded, Method, Spans

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register
@dataclass(frozen=True)
class Redundancy(Method):
    """Store each word n times and vote on read; 3 copies are triple modular redundancy (TMR).

    The copies are stored, counted and faultable. ``bitwise`` takes the value that most copies have,
    bit by bit: with 3 copies a bit is wrong with probability 3p^2 - 2p^3. ``median`` takes the copy
    with the middle value in the order of numbers (sign and magnitude for floats, where NaN lies
    beyond infinity of its sign, also where it has the pattern of -0; two's complement else). A word
    counts as corrected where the vote differs from the payload word; nothing is detected and left.
    Cost: (copies - 1) * width check bits per word; 200 % for 3. 4, 14, 30, 52 operations for 3, 5,
    7, 9 copies, per 64 bits of payload where bitwise, per word where median.
    Source: von Neumann, 1956; Lyons & Vanderkulk, IBM J. Res. Dev. 6(2), 1962.

    Args:
        copies: How often a word is stored, the payload included: ``3``, ``5``, ``7`` or ``9``.
        vote: ``bitwise`` majority, or ``median`` of the values.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "nmr"

    copies: Literal[3, 5, 7, 9] = 3
    vote: Literal["bitwise", "median"] = "bitwise"

    def refusal(self, fmt: NumberFormat) -> str | None:
        """The median needs codes in the order of their values."""
        if self.vote == "bitwise" or fmt.zero_word_is_zero:
            return None
        return f"{fmt.label} has codes in another order than its values; use vote: bitwise"

    def bind(self, fmt: NumberFormat) -> Method:
        if self.vote == "bitwise":
            return self
        return MedianVote(self.copies, "exponent" in fmt.bit_classes, _has_nan_for_minus_zero(fmt))

    def check_bits(self, count: int, width: int) -> int:
        return (self.copies - 1) * count * width

    def copied_bits(self, width: int) -> range:
        return range(width)

    def encode(self, words: Words) -> tuple[Words, Words]:
        return words, copies_of(words, self.copies - 1)

    def decode(self, words: Words, check: Words | None) -> Decoded:
        if self.vote == "median":
            raise TypeError("the median needs the order of numbers: bind the method to a format")
        assert check is not None
        return _voted(words, majority(_all(words, check)))

    def spans(self, width: int) -> Spans:
        return Spans(checks=1, copies=self.copies - 1)

    def operations(self, count: int, width: int) -> int:
        votes = block_count(count, width, 64) if self.vote == "bitwise" else count
        return votes * vote_operations(self.copies)


@dataclass(frozen=True)
class MedianVote(Method):
    """The median vote for one format.

    Args:
        copies: How often a word is stored.
        sign_magnitude: Whether words are ordered as sign and magnitude, else two's complement.
        nan_for_minus_zero: Whether the pattern of -0 is NaN, which goes below all numbers.
    """

    copies: int
    sign_magnitude: bool
    nan_for_minus_zero: bool = False

    def check_bits(self, count: int, width: int) -> int:
        return (self.copies - 1) * count * width

    def copied_bits(self, width: int) -> range:
        return range(width)

    def encode(self, words: Words) -> tuple[Words, Words]:
        return words, copies_of(words, self.copies - 1)

    def decode(self, words: Words, check: Words | None) -> Decoded:
        assert check is not None
        keys = [
            self._swapped(_number(copy, words.width), words.width) for copy in _all(words, check)
        ]
        middle = self._swapped(median(keys), words.width)
        if middle.element_size() == words.data.element_size():
            return _voted(words, middle.view(words.data.dtype))
        return _voted(words, mask_to_width(middle, words.width).data)

    def spans(self, width: int) -> Spans:
        return Spans(checks=1, copies=self.copies - 1)

    def operations(self, count: int, width: int) -> int:
        return count * vote_operations(self.copies)

    def _swapped(self, number: Tensor, width: int) -> Tensor:
        """Two's complement as numbers in the order of sign and magnitude, -0 below +0; and back."""
        if not self.sign_magnitude:
            return number
        if self.nan_for_minus_zero:
            lowest = -(1 << (width - 1))
            return torch.where((number < 0) & (number > lowest), lowest - number, number)
        negative = number >> (8 * number.element_size() - 1)
        return number ^ (negative & ((1 << (width - 1)) - 1))


def _has_nan_for_minus_zero(fmt: NumberFormat) -> bool:
    sign = torch.tensor([-(1 << (fmt.width - 1))], dtype=torch.int64)
    value = fmt.decode(mask_to_width(sign, fmt.width), fmt.calibrate(torch.ones(1)))
    return bool(value.isnan().item())


def _number(data: Tensor, width: int) -> Tensor:
    """Words read as two's complement: in their own size where they fill it, else int64."""
    if width < 8 * data.element_size():
        return signed(data.to(torch.int64), width)
    return data.view(torch.int8) if data.dtype == torch.uint8 else data


def _all(words: Words, check: Words) -> list[Tensor]:
    return [words.data, *check.data]


def _voted(words: Words, data: Tensor) -> Decoded:
    return Decoded(Words(data, words.width), int((data != words.data).sum()), 0)

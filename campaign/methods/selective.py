"""Selective protection: one class of bits of each word is stored several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from campaign.bits import Words
from campaign.bits.copies import copies_of, majority, part, vote_operations, with_part
from campaign.formats import NumberFormat
from campaign.methods.base import METHODS, Decoded, Method, Spans


@METHODS.register
@dataclass(frozen=True)
class Selective(Method):
    """N-modular redundancy on one class of bits: the sign, the exponent, or both.

    The copies of these bits are stored, counted and faultable; the majority of each bit is read. A
    word counts as corrected where it changed. Other bits are as they were.
    Cost: (copies - 1) * (bits of the class) check bits per word; 56 % in fp32. Operations per word:
    7 for 3 copies (mask, majority of 4, putting it back 2), 17, 33, 55 for 5, 7, 9.
    Source: selective hardening of exponent bits, as in Deep Neural Lesion, arXiv 2502.07408.

    Args:
        bits: ``sign_exponent``, ``sign``, ``exponent``, ``exponent_msb``, ``integer`` or ``msb``.
        copies: How often they are stored, the payload included: ``3``, ``5``, ``7`` or ``9``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "selective"

    bits: Literal["sign_exponent", "sign", "exponent", "exponent_msb", "integer", "msb"] = (
        "sign_exponent"
    )
    copies: Literal[3, 5, 7, 9] = 3

    def refusal(self, fmt: NumberFormat) -> str | None:
        """The format must have these bits."""
        if len(self._positions(fmt)):
            return None
        return f"{fmt.label} has no bits {self.bits}; it has {', '.join(fmt.bit_classes)}"

    def bind(self, fmt: NumberFormat) -> Method:
        return SelectedBits(self._positions(fmt), self.copies)

    def encode(self, words: Words) -> tuple[Words, Words | None]:
        raise TypeError("which bits are meant depends on the format: bind the method to one")

    def operations(self, count: int, width: int) -> int:
        return count * (3 + vote_operations(self.copies))

    def _positions(self, fmt: NumberFormat) -> range:
        """The bits in a word of `fmt`; empty where it has none."""
        classes, none = fmt.bit_classes, range(0)
        if self.bits != "sign_exponent":
            return classes.get(self.bits, none)
        exponent, sign = classes.get("exponent", none), classes.get("sign", none)
        adjacent = len(exponent) and exponent.stop == sign.start
        return range(exponent.start, sign.stop) if adjacent else none


@dataclass(frozen=True)
class SelectedBits(Method):
    """Selective protection for one format.

    Args:
        bits: Their positions, adjacent and ascending.
        copies: How often they are stored.
    """

    bits: range
    copies: int

    def check_bits(self, count: int, width: int) -> int:
        return (self.copies - 1) * count * len(self.bits)

    def copied_bits(self, width: int) -> range:
        return self.bits

    def encode(self, words: Words) -> tuple[Words, Words]:
        return words, copies_of(part(words, self.bits), self.copies - 1)

    def decode(self, words: Words, check: Words | None) -> Decoded:
        assert check is not None
        held = part(words, self.bits)
        voted = majority([held.data, *check.data])
        read = with_part(words, self.bits, Words(voted, held.width))
        return Decoded(read, int((voted != held.data).sum()), 0)

    def spans(self, width: int) -> Spans:
        return Spans(checks=1, copies=self.copies - 1)

    def operations(self, count: int, width: int) -> int:
        return count * (3 + vote_operations(self.copies))

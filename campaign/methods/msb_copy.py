"""Copies of the most significant bits of each word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict, PositiveInt

from campaign.bits import Words
from campaign.bits.copies import copies_of, majority, part, vote_operations, with_part
from campaign.formats import NumberFormat
from campaign.lazy import torch
from campaign.methods.base import METHODS, Decoded, Method, Spans, clears_a_number


@METHODS.register
@dataclass(frozen=True)
class MsbCopy(Method):
    """Store the most significant bits of each word 2 or 3 times.

    With 3 copies the majority of each bit is read; a word counts as corrected where it changed.
    With 2 copies a word whose copies differ reads as 0 and counts as detected. The copies are
    stored, counted and faultable.
    Cost: (copies - 1) * bits check bits per word; operations per word: 2 for 2 copies (mask,
    comparison), 7 for 3 (mask, majority of 4, putting it back 2).
    Source: the cheapest form of bit protection; cf. the sign-bit copies of Guan et al., arXiv
    1910.14479.

    Args:
        bits: How many bits, from the most significant one down.
        copies: How often they are stored, the payload included: ``3`` or ``2``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "msb_copy"

    bits: PositiveInt = 1
    copies: Literal[3, 2] = 3

    def refusal(self, fmt: NumberFormat) -> str | None:
        """A word must have these bits; two copies clear a word where they differ."""
        if self.bits <= fmt.width:
            return clears_a_number(fmt) if self.copies == 2 else None
        return f"bits: {self.bits}, but words of {fmt.label} have {fmt.width}"

    @property
    def clears_words(self) -> bool:
        return self.copies == 2

    def check_bits(self, count: int, width: int) -> int:
        return (self.copies - 1) * count * self.bits

    def copied_bits(self, width: int) -> range:
        return range(width - self.bits, width)

    def encode(self, words: Words) -> tuple[Words, Words]:
        return words, copies_of(part(words, self.copied_bits(words.width)), self.copies - 1)

    def decode(self, words: Words, check: Words | None) -> Decoded:
        assert check is not None
        bits = self.copied_bits(words.width)
        top = part(words, bits)
        if self.copies == 2:
            wrong = top.data != check.data[0]
            kept = torch.where(wrong, torch.zeros_like(words.data), words.data)
            return Decoded(Words(kept, words.width), 0, int(wrong.sum()))
        voted = majority([top.data, *check.data])
        read = with_part(words, bits, Words(voted, top.width))
        return Decoded(read, int((voted != top.data).sum()), 0)

    def spans(self, width: int) -> Spans:
        return Spans(checks=1, copies=self.copies - 1)

    def operations(self, count: int, width: int) -> int:
        return count * (2 if self.copies == 2 else 3 + vote_operations(3))

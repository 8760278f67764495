"""BCH: one, two or three errors of a block of words are corrected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from campaign.bits import Words
from campaign.bits.bch import CHECK_BITS, DATA_BITS, bch
from campaign.bits.blocks import block_count, block_spans, check_words, repair
from campaign.formats import NumberFormat
from campaign.methods.base import METHODS, Decoded, Method, Spans, clears_a_number


@METHODS.register
@dataclass(frozen=True)
class Bch(Method):
    """Shortened BCH codes (71,64), (78,64), (85,64) over blocks of words: 1, 2, 3 errors corrected.

    Blocks, check words and counts are as in ``secded``. More errors than that are detected or
    miscorrected: with ``errors: 1`` (a Hamming code) mostly miscorrected. Blocks are of 64 data
    bits, as in ``secded`` and as memories move them, so that codes are compared by what they
    correct; GF(2^7) is the smallest field for them. More than three errors are not offered: a table
    with a row for each syndrome finds them, and it has 2^(7 t) rows.
    Cost: 7 check bits per 64 data bits and error corrected: 10.9 %, 21.9 %, 32.8 %; r of them take
    2 r + 1 operations per block (mask and parity each, and a comparison).
    Source: Lin & Costello, Error Control Coding, chapter 6. Departs: check words are stored apart.

    Args:
        errors: How many wrong bits of a codeword are corrected: ``2``, ``1`` or ``3``.
        on_failure: A block beyond repair: ``zero`` all its words, or ``keep`` them as read.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "bch"
    corrects_blocks: ClassVar[bool] = True

    errors: Literal[2, 1, 3] = 2
    on_failure: Literal["zero", "keep"] = "zero"

    def refusal(self, fmt: NumberFormat) -> str | None:
        """A block beyond repair is cleared, and must then read as 0."""
        return clears_a_number(fmt) if self.on_failure == "zero" else None

    @property
    def clears_words(self) -> bool:
        return self.on_failure == "zero"

    def check_bits(self, count: int, width: int) -> int:
        return block_count(count, width, DATA_BITS) * CHECK_BITS[self.errors]

    def encode(self, words: Words) -> tuple[Words, Words]:
        return words, check_words(words, bch(self.errors))

    def decode(self, words: Words, check: Words | None) -> Decoded:
        assert check is not None
        return Decoded(*repair(words, check, bch(self.errors), zero=self.on_failure == "zero"))

    def spans(self, width: int) -> Spans:
        return Spans(*block_spans(width, DATA_BITS))

    def operations(self, count: int, width: int) -> int:
        return block_count(count, width, DATA_BITS) * (2 * CHECK_BITS[self.errors] + 1)

"""SEC-DED: single errors of a block of words are corrected, double ones detected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from campaign.bits import Words
from campaign.bits.blocks import block_count, block_spans, check_words, repair
from campaign.bits.hsiao import CHECK_BITS, hsiao
from campaign.formats import NumberFormat
from campaign.methods.base import METHODS, Decoded, Method, Spans, clears_a_number


@METHODS.register
@dataclass(frozen=True)
class Secded(Method):
    """Hsiao codes (72,64), (39,32), (22,16) over blocks of words: 1 error corrected, 2 detected.

    Words of any width are concatenated bit by bit (64 data bits are 2 words of fp32, 4 of fp16, 8
    of int8; a word of 12 bits may straddle two blocks). The last block of a tensor is filled up
    with zeros that are not stored. Check words are stored apart, counted and faultable; three and
    more errors may be miscorrected. A word counts as corrected where a correction changed it, and
    as detected where it has a bit in a block known to be wrong and not correctable.
    Cost: 8 check bits per 64 data bits (12.5 %), 7 per 32 (21.9 %), 6 per 16 (37.5 %); r of them
    take 2 r + 1 operations per block (mask and parity each, and a comparison).
    Source: Hsiao, IBM J. Res. Dev. 14(4), 1970. Departs: check words are stored apart.

    Args:
        data_bits: Data bits of a codeword: ``64``, ``32`` or ``16``.
        on_double: A block beyond repair: ``zero`` all its words, or ``keep`` them as read.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "secded"
    corrects_blocks: ClassVar[bool] = True

    data_bits: Literal[64, 32, 16] = 64
    on_double: Literal["zero", "keep"] = "zero"

    def refusal(self, fmt: NumberFormat) -> str | None:
        """A block beyond repair is cleared, and must then read as 0."""
        return clears_a_number(fmt) if self.on_double == "zero" else None

    @property
    def clears_words(self) -> bool:
        return self.on_double == "zero"

    def check_bits(self, count: int, width: int) -> int:
        return block_count(count, width, self.data_bits) * CHECK_BITS[self.data_bits]

    def encode(self, words: Words) -> tuple[Words, Words]:
        return words, check_words(words, hsiao(self.data_bits))

    def decode(self, words: Words, check: Words | None) -> Decoded:
        assert check is not None
        zero = self.on_double == "zero"
        return Decoded(*repair(words, check, hsiao(self.data_bits), zero=zero))

    def spans(self, width: int) -> Spans:
        return Spans(*block_spans(width, self.data_bits))

    def operations(self, count: int, width: int) -> int:
        blocks = block_count(count, width, self.data_bits)
        return blocks * (2 * CHECK_BITS[self.data_bits] + 1)

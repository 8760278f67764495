"""BCH: up to eight errors of a block of words are corrected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.bits import Words
from campaign.bits.bch import bch
from campaign.bits.blocks import block_count, block_spans, check_words, repair
from campaign.bits.linear import LinearCode
from campaign.formats import NumberFormat
from campaign.methods.base import METHODS, Decoded, Method, Spans, clears_a_number


@METHODS.register
@dataclass(frozen=True)
class Bch(Method):
    """Shortened BCH codes over blocks of words: up to 8 errors of a codeword corrected.

    Blocks, check words and counts are as in ``secded``. More errors than that are detected or
    miscorrected: with ``errors: 1`` (a Hamming code) mostly miscorrected. The field GF(2^m) is the
    smallest with room for the codeword: (71,64), (78,64), (85,64) over GF(2^7) for 1, 2, 3 errors
    in 64 data bits, as memories move them; (572,512) over GF(2^10) for 6 in a cache line. Check
    words of more than 64 bits are refused.
    Cost: m check bits per error corrected (few codes take less), in 64 data bits 7: 10.9 %, 21.9 %,
    32.8 % for 1, 2, 3; in 512 data bits 10: 2.0 % an error. For each 64 data bits of a block and
    check bit 2 operations (mask, and XOR or parity), and a comparison a block.
    Source: Lin & Costello, Error Control Coding, chapter 6. Departs: check words are stored apart.

    Args:
        errors: How many wrong bits of a codeword are corrected: 1..8.
        on_failure: A block beyond repair: ``zero`` all its words, or ``keep`` them as read.
        data_bits: Data bits of a codeword, a multiple of 8 in 8..512.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "bch"
    corrects_blocks: ClassVar[bool] = True

    errors: Annotated[int, Field(ge=1, le=8, strict=True)] = 2
    on_failure: Literal["zero", "keep"] = "zero"
    data_bits: Annotated[int, Field(ge=8, le=512, multiple_of=8, strict=True)] = 64

    def __post_init__(self) -> None:
        bch(self.errors, self.data_bits)  # which says what cannot be

    @property
    def code(self) -> LinearCode:
        """The code of a block."""
        return bch(self.errors, self.data_bits)

    def refusal(self, fmt: NumberFormat) -> str | None:
        """A block beyond repair is cleared, and must then read as 0."""
        return clears_a_number(fmt) if self.on_failure == "zero" else None

    @property
    def clears_words(self) -> bool:
        return self.on_failure == "zero"

    def check_bits(self, count: int, width: int) -> int:
        return block_count(count, width, self.data_bits) * self.code.check_bits

    def encode(self, words: Words) -> tuple[Words, Words]:
        return words, check_words(words, self.code)

    def decode(self, words: Words, check: Words | None) -> Decoded:
        assert check is not None
        return Decoded(*repair(words, check, self.code, zero=self.on_failure == "zero"))

    def spans(self, width: int) -> Spans:
        return Spans(*block_spans(width, self.data_bits))

    def operations(self, count: int, width: int) -> int:
        machine_words = -(-self.data_bits // 64)
        blocks = block_count(count, width, self.data_bits)
        return blocks * (2 * machine_words * self.code.check_bits + 1)

"""Parity and zero mask: a word whose parity is wrong reads as zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from campaign.bits import Words, popcount
from campaign.formats import NumberFormat
from campaign.lazy import torch
from campaign.methods.base import METHODS, Decoded, Method, Spans, clears_a_number


@METHODS.register
@dataclass(frozen=True)
class Parity(Method):
    """One parity bit per word; an odd number of flips in word and bit zeroes the word.

    The word is cleared; formats in which that is another number than 0 are refused. The parity bit
    is stored, counted and faultable. An even number of flips passes unseen.
    Cost: 1 check bit and 2 operations per word (parity, comparison). Source: Qin et al., Robustness
    of neural networks against storage media errors, 2018.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "parity"

    @property
    def clears_words(self) -> bool:
        return True

    def check_bits(self, count: int, width: int) -> int:
        return count

    def refusal(self, fmt: NumberFormat) -> str | None:
        """A detected word is cleared, and must then read as 0."""
        return clears_a_number(fmt)

    def encode(self, words: Words) -> tuple[Words, Words]:
        return words, Words(popcount(words) & 1, 1)

    def decode(self, words: Words, check: Words | None) -> Decoded:
        assert check is not None
        wrong = (popcount(words) & 1) != check.data
        kept = torch.where(wrong, torch.zeros_like(words.data), words.data)
        return Decoded(Words(kept, words.width), 0, int(wrong.sum()))

    def spans(self, width: int) -> Spans:
        return Spans(checks=1)

    def operations(self, count: int, width: int) -> int:
        return 2 * count

"""Opportunistic parity: the parity bit takes the place of the mantissa's last bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from campaign.bits import Words, popcount
from campaign.formats import NumberFormat
from campaign.lazy import torch
from campaign.methods.base import METHODS, Decoded, Method, Spans


@METHODS.register
@dataclass(frozen=True)
class OpportunisticParity(Method):
    """The mantissa's last bit is set so that the ones of a word are even; an odd word reads as 0.

    The stored weight differs from the trained one by at most one unit in the last place; that is
    part of the fault-free reading, like rounding to the format. Floats only: the last bit of an
    integer is worth too much. An even number of flips passes unseen.
    Cost: no memory; one bit of the mantissa; 2 operations per word (parity, comparison).
    Source: Burel, Evans & Anghel, DFT 2021.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "opportunistic_parity"

    def refusal(self, fmt: NumberFormat) -> str | None:
        """Only a mantissa has a bit to spare."""
        if 0 in fmt.bit_classes.get("mantissa", range(0)):
            return None
        return f"{fmt.label} has no mantissa whose last bit could be the parity; use parity"

    @property
    def clears_words(self) -> bool:
        return True

    def adapt(self, words: Words) -> Words:
        odd = (popcount(words) & 1).to(words.data.dtype)
        return Words(words.data ^ odd, words.width)

    def decode(self, words: Words, check: Words | None) -> Decoded:
        wrong = (popcount(words) & 1).bool()
        kept = torch.where(wrong, torch.zeros_like(words.data), words.data)
        return Decoded(Words(kept, words.width), 0, int(wrong.sum()))

    def spans(self, width: int) -> Spans:
        return Spans()

    def operations(self, count: int, width: int) -> int:
        return 2 * count

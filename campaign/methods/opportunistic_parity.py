"""Opportunistic parity: the parity bit takes the place of the mantissa's last bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict

from campaign.bits import Words, popcount
from campaign.formats import NumberFormat
from campaign.lazy import torch
from campaign.methods.base import METHODS, Decoded, Method, Spans

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register
@dataclass(frozen=True)
class OpportunisticParity(Method):
    """The mantissa's last bit is set so that the ones of a word are even; an odd word reads as 0.

    The stored weight moves by at most one step of the format, a unit in the last place; where that
    step would lead to NaN, as from the largest magnitude of e4m3fn, the last bit but one is set
    instead and the weight moves by two. That is part of the fault-free reading, like rounding to
    the format. Floats only: the last bit of an integer is worth too much. An even number of flips
    passes unseen.
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

    def bind(self, fmt: NumberFormat) -> Method:
        return EvenWords(fmt)

    def operations(self, count: int, width: int) -> int:
        return 2 * count


@dataclass(frozen=True)
class EvenWords(Method):
    """Opportunistic parity in the words of one format.

    Args:
        fmt: The format, which tells the words that are no finite numbers.
    """

    fmt: NumberFormat

    def adapt(self, words: Words) -> Words:
        odd = (popcount(words) & 1).to(words.data.dtype)
        even = Words(words.data ^ odd, words.width)
        lost = self._is_finite(words) & ~self._is_finite(even)
        return Words(torch.where(lost, words.data ^ 2, even.data), words.width)

    def _is_finite(self, words: Words) -> Tensor:
        """Whether each word is a finite number, at the scale of ones."""
        ones = torch.ones(words.data.shape, device=words.data.device)
        return self.fmt.decode(words, self.fmt.calibrate(ones)).isfinite()

    def decode(self, words: Words, check: Words | None) -> Decoded:
        wrong = (popcount(words) & 1).bool()
        kept = torch.where(wrong, torch.zeros_like(words.data), words.data)
        return Decoded(Words(kept, words.width), 0, int(wrong.sum()))

    def spans(self, width: int) -> Spans:
        return Spans()

    def operations(self, count: int, width: int) -> int:
        return 2 * count

"""Selective protection of weights: the words that matter most are stored several times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.bits import Words
from campaign.bits.blocks import block_count
from campaign.bits.copies import copies_of, majority, vote_operations
from campaign.faults.ranking import highest
from campaign.lazy import torch
from campaign.methods.base import METHODS, Decoded, Method, State

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register
@dataclass(frozen=True)
class SelectiveWords(Method):
    """N-modular redundancy on the most important words of each tensor.

    Of each tensor of n weights the ceil(share * n) of highest importance are chosen, `share` taken
    as it is written in decimal; equal ones by the lower index. Weights count as trained, before
    other methods or the number format change them. The copies of the chosen words are stored,
    counted and faultable, the majority of each bit is read, and a word counts as corrected where it
    changed; the other words are as they were. Which words were chosen is a constant.
    Cost: (copies - 1) * width check bits per chosen word, 2 % for 1 % of the words, and its index
    of 32 bits (64 in a tensor of more than 2^31 words) in protected memory; 4, 14, 30, 52
    operations for 3, 5, 7, 9 copies per 64 bits of chosen words.
    Source: protection of the parameters that matter most, Galil et al., Deep Neural Lesion, arXiv
    2502.07408, whose score without a pass over data is the magnitude; ``gradient``: the first-order
    importance of Molchanov et al., CVPR 2019 (arXiv 1906.10771), before its square. Departs: the
    share is of each tensor, not of the network; whole words, not signs.

    Args:
        share: Of the words of each tensor, in (0, 1]; at least one word.
        by: Importance of a weight w: its ``magnitude`` |w|, or ``gradient``, |w g| with the
            gradient g of the mean cross entropy of the trained network over the profile split.
            Where two |w g| are almost equal, device or batch size may decide.
        copies: How often a chosen word is stored, the payload included: ``3``, ``5``, ``7`` or
            ``9``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "selective_words"

    share: Annotated[float, Field(gt=0, le=1)] = 0.01
    by: Literal["magnitude", "gradient"] = "magnitude"
    copies: Literal[3, 5, 7, 9] = 3

    @property
    def differentiates(self) -> bool:
        return self.by == "gradient"

    def choose(self, weight: Tensor, gradient: Tensor | None) -> Method:
        score = self._importance(weight, gradient).reshape(-1)
        chosen = highest(score, self._chosen(score.numel())).sort().values
        dtype = torch.int32 if score.numel() <= 1 << 31 else torch.int64
        return ChosenWords(self, chosen.to(dtype))

    def check_bits(self, count: int, width: int) -> int:
        return (self.copies - 1) * self._chosen(count) * width

    def copied_bits(self, width: int) -> range:
        return range(width)

    def encode(self, words: Words) -> tuple[Words, Words | None]:
        raise TypeError("which words are meant depends on the weights: choose them first")

    def decode(self, words: Words, check: Words | None) -> Decoded:
        raise TypeError("which words are meant depends on the weights: choose them first")

    def operations(self, count: int, width: int) -> int:
        return block_count(self._chosen(count), width, 64) * vote_operations(self.copies)

    def _chosen(self, count: int) -> int:
        """How many of `count` words; in floats 0.07 * 100 would be a little more than 7."""
        return math.ceil(Fraction(str(self.share)) * count)

    def _importance(self, weight: Tensor, gradient: Tensor | None) -> Tensor:
        """How much each weight matters, float64, finite."""
        magnitude = weight.double().abs()
        if self.by == "magnitude":
            return magnitude
        if gradient is None:
            raise TypeError(f"{self.name}: importance by gradient needs the gradient")
        return magnitude * gradient.double().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).abs()


@dataclass(frozen=True, eq=False)
class ChosenWords(Method):
    """Selective protection of words for one parameter.

    Args:
        method: How they were chosen.
        index: The chosen words, flat, ascending and distinct, int32 or int64.
    """

    method: SelectiveWords
    index: Tensor

    def transform(self, weight: Tensor) -> tuple[Tensor, State]:
        return weight, {"index": self.index}

    def check_bits(self, count: int, width: int) -> int:
        return self.method.check_bits(count, width)

    def copied_bits(self, width: int) -> range:
        return range(width)

    def encode(self, words: Words) -> tuple[Words, Words]:
        held = words.data.reshape(-1)[self.index.long()]
        return words, copies_of(Words(held, words.width), self.method.copies - 1)

    def decode(self, words: Words, check: Words | None) -> Decoded:
        assert check is not None
        index = self.index.long()
        held = words.data.reshape(-1)[index]
        voted = majority([held, *check.data])
        wrong = voted != held
        corrected = int(wrong.sum())
        if not corrected:
            return Decoded(words, 0, 0)
        data = words.data.clone(memory_format=torch.contiguous_format)
        data.view(-1)[index[wrong]] = voted[wrong]
        return Decoded(Words(data, words.width), corrected, 0)

    def operations(self, count: int, width: int) -> int:
        return self.method.operations(count, width)

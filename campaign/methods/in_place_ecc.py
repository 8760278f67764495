"""In-place ECC: the check bits of 8 small integers stand where 7 of them repeat their sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from campaign.bits import Words
from campaign.bits.spare import BLOCK, mended, throttled, with_checks
from campaign.formats import NumberFormat
from campaign.methods.base import METHODS, Decoded, Method, Spans, clears_a_number
from campaign.methods.fitting import Fitting
from campaign.methods.throttling import ThrottledFitting

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register
@dataclass(frozen=True)
class InPlaceEcc(Method):
    """A (64,57) code in 8 words of 8 bits: 1 error corrected, 2 detected, no memory.

    The first 7 words of each block of 8 are saturated to the codes -64..63, so that bit 6 repeats
    the sign, bit 7, and can hold a check bit; the eighth keeps its range. On read the code corrects
    and bit 6 becomes a copy of the sign again. Fewer than 8 words at the end of a tensor are
    neither saturated nor protected; three and more errors may be miscorrected. What saturation
    changes is part of the fault-free reading. A word counts as corrected where a data bit of it
    was, and as detected in a block known to be wrong and not correctable.
    Where it is `trained`, the forward pass of a training computes with the weights as they are
    stored, and after each step those that would be saturated are moved to where nothing is: stored
    weights are then trained ones, in stacks that change nothing else of them. Biases and norms are
    trained as ever.
    Cost: no memory; the upper half of the range of 7 words in 8; 17 operations per 8 words
    (7 check bits, a comparison, the signs). Source: Guan et al., In-place
    zero-space memory protection for CNN, NeurIPS 2019 (arXiv 1910.14479), which is `trained`.
    Departs: the code is Hsiao's; weights are moved until they fit the scale that they then have.

    Args:
        on_double: A block beyond repair: ``zero`` all its words, or ``keep`` them as read.
        trained: Train the network for it, not saturate weights once after training.
        recipe: Name of the recipe, where it is trained; None is the default one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "in_place_ecc"
    corrects_blocks: ClassVar[bool] = True

    on_double: Literal["zero", "keep"] = "zero"
    trained: bool = False
    recipe: str | None = None

    def __post_init__(self) -> None:
        if self.recipe is not None and not self.trained:
            raise ValueError(f"recipe {self.recipe!r} needs trained: true, got trained: false")

    def refusal(self, fmt: NumberFormat) -> str | None:
        """Only words of 8 bits in two's complement repeat their sign in bit 6."""
        if fmt.width != 8 or not fmt.twos_complement:
            return f"{fmt.label} has no words of 8 bits in two's complement; use int8 or secded"
        return clears_a_number(fmt) if self.on_double == "zero" else None

    def misfit(self, before: Sequence[Method], kinds: Sequence[str]) -> str | None:
        """There is one such bit in a word."""
        if any(isinstance(method, InPlaceEcc) for method in before):
            return "another in_place_ecc has taken the spare bits; name it once"
        return super().misfit(before, kinds)

    @property
    def fits(self) -> bool:
        return self.trained

    @property
    def fits_format(self) -> bool:
        return self.trained

    def fitting(self) -> Fitting:
        return ThrottledFitting(self.adapt)

    @property
    def clears_words(self) -> bool:
        return self.on_double == "zero"

    def adapt(self, words: Words) -> Words:
        return _with_blocks(words, throttled(_blocks(words)))

    def encode(self, words: Words) -> tuple[Words, None]:
        return _with_blocks(words, with_checks(_blocks(words))), None

    def operations(self, count: int, width: int) -> int:
        return count // BLOCK * 17

    def spans(self, width: int) -> Spans:
        return Spans(BLOCK)

    def decode(self, words: Words, check: Words | None) -> Decoded:
        found = mended(_blocks(words))
        blocks = found.blocks
        if self.on_double == "zero":
            blocks[found.failed] = 0
        detected = int(found.failed.sum()) * BLOCK
        return Decoded(_with_blocks(words, blocks), int(found.corrected.sum()), detected)


def _blocks(words: Words) -> Tensor:
    """All whole blocks: uint8, shape (n, 8)."""
    flat = words.data.reshape(-1)
    return flat[: flat.numel() // BLOCK * BLOCK].view(-1, BLOCK)


def _with_blocks(words: Words, blocks: Tensor) -> Words:
    """The words with their whole blocks replaced; what follows is as it was."""
    flat = words.data.reshape(-1)
    data = flat.new_empty(flat.numel())
    data[: blocks.numel()] = blocks.view(-1)
    data[blocks.numel() :] = flat[blocks.numel() :]
    return Words(data.view(words.data.shape), words.width)

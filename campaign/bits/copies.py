"""Copies of a range of bits of each word, and the middle of the copies that were read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from campaign.bits.words import Words, carrier
from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def part(words: Words, bits: range) -> Words:
    """The adjacent `bits` (ascending positions) of each word, as words of ``len(bits)`` bits.

    Example:
        >>> part(Words(torch.tensor([0b1011_0001], dtype=torch.uint8), 8), range(4, 8)).data
        tensor([11], dtype=torch.uint8)
    """
    if len(bits) == words.width:
        return words
    cut = (words.data >> bits.start) & ((1 << len(bits)) - 1)
    return Words(cut.to(carrier(len(bits))), len(bits))


def with_part(words: Words, bits: range, new: Words) -> Words:
    """The words with `bits` replaced; all else as it was."""
    if len(bits) == words.width:
        return new
    data = words.data
    change = (data >> bits.start ^ new.data.to(data.dtype)) & ((1 << len(bits)) - 1)
    return Words(data ^ change << bits.start, words.width)


def copies_of(words: Words, count: int) -> Words:
    """`count` copies, stacked on a new first dimension."""
    return Words(words.data.expand(count, *words.data.shape).contiguous(), words.width)


def majority(copies: Sequence[Tensor]) -> Tensor:
    """The value of each bit in most of an odd number of integer tensors.

    Example:
        >>> majority([torch.tensor(0b110), torch.tensor(0b011), torch.tensor(0b000)])
        tensor(2)
    """
    lanes = list(copies)
    for last in _passes(lanes):
        for i in range(last):
            lanes[i], lanes[i + 1] = lanes[i] & lanes[i + 1], lanes[i] | lanes[i + 1]
    return lanes[len(lanes) // 2]


def median(copies: Sequence[Tensor]) -> Tensor:
    """The middle one, element by element, of an odd number of tensors.

    Example:
        >>> median([torch.tensor([1, 9]), torch.tensor([7, 8]), torch.tensor([5, 0])])
        tensor([5, 8])
    """
    lanes = list(copies)
    for last in _passes(lanes):
        for i in range(last):
            a, b = lanes[i], lanes[i + 1]
            lanes[i], lanes[i + 1] = torch.minimum(a, b), torch.maximum(a, b)
    return lanes[len(lanes) // 2]


def vote_operations(copies: int) -> int:
    """Operations (and/or of bits, or least/greatest of numbers) of the middle of `copies`.

    Those of `majority` and `median`, less the results that nobody looks at again: the greatest of
    each pass, and all but the greatest of the last.

    Example:
        >>> [vote_operations(copies) for copies in (3, 5, 7, 9)]
        [4, 14, 30, 52]
    """
    *passes, last = _passes(range(copies))
    return sum(2 * exchanges - 1 for exchanges in passes) + last


def _passes(lanes: Sequence[object]) -> range:
    """The passes of a bubble sort until the middle lane is in its place."""
    return range(len(lanes) - 1, len(lanes) // 2 - 1, -1)

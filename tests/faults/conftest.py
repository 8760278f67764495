"""Memories to draw faults in."""

from __future__ import annotations

import torch

from campaign.bits import Words, carrier, mask_to_width
from campaign.faults import Exposed, FieldKey

Memory = dict[FieldKey, Exposed]
SIX_SIGMA = 2e-9


def zeros(count: int, width: int) -> Words:
    """`count` zeroed words."""
    return Words(torch.zeros(count, dtype=carrier(width)), width)


def noise(count: int, width: int, ones: float = 0.5) -> Words:
    """Words whose bits are ones with probability `ones`."""
    generator = torch.Generator().manual_seed(count + width)
    bits = torch.rand(count, width, generator=generator) < ones
    return mask_to_width((bits.to(torch.int64) << torch.arange(width)).sum(1), width)


def values(words: Words) -> list[int]:
    """Every stored bit in the order of positions, by Python integers."""
    return [code >> bit & 1 for code in words.data.tolist() for bit in range(words.width)]


def memory(*sizes: tuple[int, int], exempt: frozenset[int] = frozenset()) -> Memory:
    """Zeroed parameters of (words, width) each; the payload of the i-th is that of ``w<i>``."""
    return {
        FieldKey(f"w{i}", "payload"): Exposed(zeros(count, width), exempt)
        for i, (count, width) in enumerate(sizes)
    }

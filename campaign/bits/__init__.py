"""Stored words: the only thing a fault may touch."""

from campaign.bits.words import (
    Words,
    carrier,
    flip,
    flip_patterns,
    mask_to_width,
    popcount,
    signed,
    stored_bits,
)

__all__ = [
    "Words",
    "carrier",
    "flip",
    "flip_patterns",
    "mask_to_width",
    "popcount",
    "signed",
    "stored_bits",
]

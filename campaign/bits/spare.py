"""A (64,57) code within 8 bytes, its check bits where 7 bytes that are small repeat their sign."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from campaign.bits.linear import LinearCode
from campaign.bits.locator import FAILED, NO_ERROR
from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 8
"""Bytes of a block."""
LARGEST, LEAST = 63, -64
"""What a byte in two's complement can hold whose two highest bits are equal."""
_CHECKS = BLOCK - 1
_SPARE, _SIGN = 6, 7


class Mended(NamedTuple):
    """Blocks after a correction, and what was done to each byte and block."""

    blocks: Tensor
    """uint8, shape (n, 8), with every spare bit equal to the sign."""
    corrected: Tensor
    """bool, shape (n, 8): bytes with a data bit that was wrong and is corrected."""
    failed: Tensor
    """bool, shape (n,): blocks known to be wrong and not corrected."""


def throttled(blocks: Tensor) -> Tensor:
    """Saturate the first 7 bytes of each block, as two's complement, to -64..63.

    Args:
        blocks: uint8, shape (n, 8).

    Example:
        >>> throttled(torch.tensor([[100, 200, 156, 63, 64, 0, 255, 100]], dtype=torch.uint8))
        tensor([[ 63, 200, 192,  63,  63,   0, 255, 100]], dtype=torch.uint8)
    """
    held = blocks.clone()
    held[:, :_CHECKS] = blocks.view(torch.int8)[:, :_CHECKS].clamp(LEAST, LARGEST).view(torch.uint8)
    return held


def with_checks(blocks: Tensor) -> Tensor:
    """Write the 7 check bits of each block into its spare bits, whatever these hold.

    Args:
        blocks: uint8, shape (n, 8).
    """
    held = blocks.clone()
    first = held[:, :_CHECKS]
    first &= ~(1 << _SPARE) & 255
    checks = _code().checks(held)
    first |= (checks[:, None] >> torch.arange(_CHECKS, device=held.device) & 1) << _SPARE
    return held


def mended(blocks: Tensor) -> Mended:
    """Correct one wrong bit of each block, see two, and give the spare bits back to the sign.

    Args:
        blocks: uint8, shape (n, 8), as `with_checks` gives them, with any errors.
    """
    held, syndromes = blocks.clone(), _code().checks(blocks)
    wrong = syndromes.nonzero()[:, 0]
    places = _places(blocks.device)[syndromes[wrong].long()]
    failed = torch.zeros(len(blocks), dtype=torch.bool, device=blocks.device)
    failed[wrong[places == FAILED]] = True
    index, bits = wrong[places >= 0], places[places >= 0]
    held[index, bits // 8] ^= (1 << bits % 8).to(torch.uint8)
    first = held[:, :_CHECKS]
    first &= ~(1 << _SPARE) & 255
    first |= first >> (_SIGN - _SPARE) & 1 << _SPARE
    corrected = torch.zeros_like(blocks, dtype=torch.bool)
    in_data = (bits // 8 == _CHECKS) | (bits % 8 != _SPARE)
    corrected[index[in_data], bits[in_data] // 8] = True
    return Mended(held, corrected, failed)


@lru_cache(maxsize=1)
def _code() -> LinearCode:
    """The parity-check matrix over all 64 stored bits: a codeword has the check word 0.

    Its columns are all 64 words of 7 bits and odd weight, those of weight 1 at the check bits. Two
    errors give an even weight, which is no column; any odd syndrome is one. Source: Hsiao, IBM J.
    Res. Dev. 14(4), 1970.
    """
    odd = (word for word in range(1 << _CHECKS) if word.bit_count() % 2 and word.bit_count() > 1)
    spare = {8 * byte + _SPARE: 1 << byte for byte in range(_CHECKS)}
    columns = tuple(spare[p] if p in spare else next(odd) for p in range(8 * BLOCK))
    return LinearCode(columns, _CHECKS)


@lru_cache(maxsize=4)
def _places(device: torch.device) -> Tensor:
    """The wrong bit of each syndrome: int64, shape (128,)."""
    table = torch.full((1 << _CHECKS,), FAILED)
    table[0] = NO_ERROR
    table[torch.tensor(_code().columns)] = torch.arange(8 * BLOCK)
    return table.to(device)

"""Words regrouped into the data blocks of a code: protected, and repaired after faults."""

from __future__ import annotations

from math import gcd, lcm
from typing import TYPE_CHECKING, NamedTuple

from campaign.bits.linear import LinearCode
from campaign.bits.locator import FAILED
from campaign.bits.words import Words, flip
from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class Repaired(NamedTuple):
    """Words after a decoder, and how many it corrected and found beyond repair."""

    words: Words
    corrected: int
    detected: int


def packed(words: Words, size: int) -> Tensor:
    """Concatenate words bit by bit, word 0 and its least significant bit first, into blocks.

    Args:
        words: Words of any width; they may straddle blocks.
        size: Bits per block, a multiple of 8. The last block is filled up with zeros.

    Returns:
        uint8, shape (blocks, size / 8): bit p of the stream is bit p % 8 of byte p // 8.

    Example:
        >>> packed(Words(torch.tensor([0xABC, 0x123], dtype=torch.int16), 12), 16).tolist()
        [[188, 58], [18, 0]]
    """
    stream = _bytes(words)
    missing = block_count(words.data.numel(), words.width, size) * size // 8 - stream.numel()
    if missing > 0:
        stream = torch.cat([stream, stream.new_zeros(missing)])
    elif missing < 0:
        stream = stream[:missing]
    return stream.view(-1, size // 8)


def block_count(count: int, width: int, size: int) -> int:
    """How many blocks of `size` bits hold `count` words of `width` bits."""
    return -(-count * width // size)


def block_spans(width: int, size: int) -> tuple[int, int]:
    """The fewest words that fill whole blocks, and how many blocks they fill.

    Example:
        >>> block_spans(16, 64), block_spans(12, 64)
        ((4, 1), (16, 3))
    """
    bits = lcm(width, size)
    return bits // width, bits // size


def check_words(words: Words, code: LinearCode) -> Words:
    """The check words of all blocks: shape (blocks,), `code.check_bits` wide."""
    return Words(code.checks(packed(words, code.data_bits)), code.check_bits)


def repair(words: Words, check: Words, code: LinearCode, *, zero: bool) -> Repaired:
    """Correct the blocks that the code can correct.

    Args:
        words: Payload words, left unchanged.
        check: The check words that belong to them, as `check_words` shapes them.
        code: The code.
        zero: Whether every word with a bit in a block beyond repair becomes 0.

    Returns:
        The words; how many words were changed by a correction; how many have a bit in a block that
        is known to be wrong and was not corrected (these do not count as corrected).
    """
    syndromes = code.checks(packed(words, code.data_bits)) ^ check.data
    blocks = syndromes.nonzero()[:, 0]
    if blocks.numel() == 0:
        return Repaired(words, 0, 0)
    errors = code.errors(syndromes[blocks])
    in_data = (errors >= 0) & (errors < code.data_bits)
    positions = blocks[:, None] * code.data_bits + errors
    outside = in_data & (positions >= words.bits)  # in the zeros that are not stored
    failed = (errors[:, 0] == FAILED) | outside.any(1)
    wrong = positions[in_data & ~failed[:, None]]
    lost = _words_of(blocks[failed], words, code.data_bits)
    mended = flip(words, wrong)
    if zero:
        mended.data.view(-1)[lost] = 0
    changed = torch.unique_consecutive(wrong // words.width)
    corrected = int((~torch.isin(changed, lost)).sum())
    return Repaired(mended, corrected, lost.numel())


def _bytes(words: Words) -> Tensor:
    """The stream of bits as bytes, uint8, zeros after the last word."""
    flat, width = words.data.reshape(-1).contiguous(), words.width
    if flat.element_size() * 8 == width:
        return flat.view(torch.uint8)
    group = 8 // gcd(width, 8)  # words after which a byte ends
    flat = torch.cat([flat, flat.new_zeros(-flat.numel() % group)])
    columns = flat.to(torch.int64).view(-1, group)
    stream = torch.zeros(len(columns), width * group // 8, dtype=torch.uint8, device=flat.device)
    for byte in range(stream.shape[1]):
        for word in range(byte * 8 // width, (byte * 8 + 7) // width + 1):
            shift = byte * 8 - word * width
            part = columns[:, word] >> shift if shift > 0 else columns[:, word] << -shift
            stream[:, byte] |= (part & 255).to(torch.uint8)
    return stream.view(-1)


def _words_of(blocks: Tensor, words: Words, size: int) -> Tensor:
    """Indices of the words with a bit in one of these blocks: int64, ascending, distinct."""
    most = (size - 2) // words.width + 2
    first = blocks * size // words.width
    index = first[:, None] + torch.arange(most, device=blocks.device)
    inside = (index * words.width < (blocks * size + size)[:, None]) & (index < words.data.numel())
    distinct: Tensor = torch.unique_consecutive(index[inside])
    return distinct

"""Words regrouped into blocks, against Python integers."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from campaign.bits import Words, flip, mask_to_width
from campaign.bits.blocks import block_count, block_spans, check_words, packed, repair
from campaign.bits.hsiao import hsiao

WIDTHS = [1, 3, 4, 5, 6, 7, 8, 9, 12, 16, 19, 24, 31, 32, 39, 53, 63, 64]


def random_words(width: int, count: int, seed: int = 0) -> Words:
    generator = torch.Generator().manual_seed(seed)
    return mask_to_width(torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator), width)


def stream(words: Words) -> int:
    """All stored bits as one integer: bit p of the stream is bit p of it."""
    whole = 0
    for place, code in enumerate(words.data.reshape(-1).tolist()):
        whole |= (code % (1 << words.width)) << (place * words.width)
    return whole


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("width", WIDTHS)
def test_packing_keeps_the_order_of_bits_and_adds_zeros(width: int, size: int) -> None:
    for count in (0, 1, 2, 5, 17):
        words = random_words(width, count)
        blocks = packed(words, size)
        assert blocks.shape == (block_count(count, width, size), size // 8)
        assert 0 <= blocks.numel() * 8 - words.bits < size
        assert int.from_bytes(bytes(blocks.reshape(-1).tolist()), "little") == stream(words)


def test_where_words_lie_in_memory_does_not_matter() -> None:
    data = random_words(16, 60).data.view(5, 12)
    for view in (data.t(), data[:, ::2], data[1:, 1:]):
        expected = packed(Words(view.contiguous(), 16), 64)
        assert torch.equal(packed(Words(view, 16), 64), expected)


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("width", WIDTHS)
def test_single_errors_are_repaired_wherever_they_are(width: int, size: int) -> None:
    words, code = random_words(width, 9), hsiao(size)
    check = check_words(words, code)
    for bit in {*range(0, words.bits, words.bits // 40 + 1), words.bits - 1}:
        found = repair(flip(words, torch.tensor([bit])), check, code, zero=True)
        assert torch.equal(found.words.data, words.data)
        assert (found.corrected, found.detected) == (1, 0)


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("width", WIDTHS)
def test_words_of_a_lost_block_are_zeroed_and_no_other(width: int, size: int) -> None:
    words, code = random_words(width, 160), hsiao(size)
    check = check_words(words, code)
    block = words.bits // size // 2
    broken = flip(words, torch.tensor([block * size, (block + 1) * size - 1]))
    ends = (block * size, (block + 1) * size)
    lost = [i for i in range(160) if i * width < ends[1] and (i + 1) * width > ends[0]]
    expected = words.data.clone()
    expected[lost] = 0
    found = repair(broken, check, code, zero=True)
    assert torch.equal(found.words.data, expected)
    assert (found.corrected, found.detected) == (0, len(lost))
    kept = repair(broken, check, code, zero=False)
    assert torch.equal(kept.words.data, broken.data)
    assert (kept.corrected, kept.detected) == (0, len(lost))


def test_a_syndrome_that_points_at_zeros_that_are_not_stored_is_detected() -> None:
    """3 wrong bits of a short block whose syndrome is the column of a bit outside of it."""
    words, code = Words(random_words(8, 7).data | 1, 8), hsiao(64)
    check, columns = check_words(words, code), code.columns
    patterns = [
        bits
        for bits in combinations(range(words.bits), 3)
        if columns[bits[0]] ^ columns[bits[1]] ^ columns[bits[2]] in columns[words.bits :]
    ]
    assert len(patterns) > 100
    for bits in patterns[::20]:
        found = repair(flip(words, torch.tensor(bits)), check, code, zero=True)
        assert (found.words.data.tolist(), found.corrected, found.detected) == ([0] * 7, 0, 7)


def test_a_word_mended_in_two_blocks_counts_once() -> None:
    words, code = random_words(64, 3), hsiao(16)
    broken = flip(words, torch.tensor([64, 64 + 17]))
    found = repair(broken, check_words(words, code), code, zero=True)
    assert torch.equal(found.words.data, words.data)
    assert (found.corrected, found.detected) == (1, 0)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("size", [16, 32, 64])
def test_a_span_ends_where_a_word_and_a_block_end_and_nowhere_before(width: int, size: int) -> None:
    words, blocks = block_spans(width, size)
    assert words * width == blocks * size
    assert all(count * width % size for count in range(1, words))

"""Flipping stored bits, against a numpy XOR of 64-bit integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from campaign.bits import Words, flip, flip_patterns

WIDTHS = range(1, 65)
COUNT = 37


def patterns(width: int, count: int = COUNT, seed: int = 0) -> NDArray[np.uint64]:
    """Random codes of `width` bits."""
    raw = np.random.default_rng([width, seed]).integers(0, 2**64, count, dtype=np.uint64)
    return raw >> np.uint64(64 - width)


def as_words(codes: NDArray[np.uint64], width: int) -> Words:
    """The same codes as words, made with numpy alone."""
    size = next(s for s in (8, 16, 32, 64) if width <= s)
    stored = codes.astype(f"uint{size}")
    return Words(torch.from_numpy(stored if size == 8 else stored.view(f"int{size}")), width)


def as_codes(words: Words) -> NDArray[np.uint64]:
    """The stored bits, read with numpy alone; the carrier's unused bits are kept."""
    data = words.data.reshape(-1).numpy()
    return data.view(f"uint{8 * data.itemsize}").astype(np.uint64)


def xor_oracle(codes: NDArray[np.uint64], width: int, hits: NDArray[np.int64]) -> list[int]:
    """Flip one bit after the other, in Python integers."""
    flipped = [int(code) for code in codes]
    for position in hits.tolist():
        flipped[position // width] ^= 1 << (position % width)
    return flipped


@pytest.mark.parametrize("width", WIDTHS)
def test_flip_equals_the_xor_of_single_bits_at_every_width(width: int) -> None:
    codes = patterns(width)
    rng = np.random.default_rng(width)
    hits = rng.permutation(COUNT * width)[: max(1, COUNT * width // 3)]
    flipped = flip(as_words(codes, width), torch.from_numpy(hits))
    assert as_codes(flipped).tolist() == xor_oracle(codes, width, hits)
    assert flipped.width == width


@pytest.mark.parametrize("width", WIDTHS)
def test_flipping_the_same_positions_twice_gives_the_words_back(width: int) -> None:
    words = as_words(patterns(width), width)
    hits = torch.from_numpy(np.random.default_rng(width).permutation(COUNT * width)[:50])
    assert torch.equal(flip(flip(words, hits), hits).data, words.data)


@pytest.mark.parametrize("width", WIDTHS)
def test_flipping_every_bit_complements_every_word(width: int) -> None:
    codes = patterns(width, 5)
    flipped = flip(as_words(codes, width), torch.arange(5 * width))
    assert as_codes(flipped).tolist() == [(1 << width) - 1 - int(code) for code in codes]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_top_and_the_bottom_bit_of_a_word_are_reached(width: int) -> None:
    zero = as_words(np.zeros(3, dtype=np.uint64), width)
    flipped = flip(zero, torch.tensor(sorted({width, 2 * width - 1})))
    assert as_codes(flipped).tolist() == [0, 1 | 1 << (width - 1), 0]


def test_flip_leaves_its_argument_alone() -> None:
    words = as_words(patterns(12), 12)
    before = words.data.clone()
    flip(words, torch.arange(12))
    assert torch.equal(words.data, before)


def test_words_are_counted_in_logical_order_where_storage_is_not_contiguous() -> None:
    codes = patterns(16, 24).reshape(4, 6)
    transposed = Words(as_words(codes.reshape(-1), 16).data.reshape(4, 6).t(), 16)
    assert not transposed.data.is_contiguous()
    hits = np.arange(0, 24 * 16, 7)
    flipped = flip(transposed, torch.from_numpy(hits))
    expected = xor_oracle(codes.T.reshape(-1), 16, hits)
    assert as_codes(flipped).tolist() == expected
    assert flipped.data.shape == (6, 4)


def test_channels_last_words_are_counted_in_logical_order() -> None:
    codes = patterns(8, 2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    data = torch.from_numpy(codes.astype(np.uint8)).to(memory_format=torch.channels_last)
    hits = np.arange(3, codes.size * 8, 11)
    flipped = flip(Words(data, 8), torch.from_numpy(hits))
    assert as_codes(flipped).tolist() == xor_oracle(codes.reshape(-1), 8, hits)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1)])
def test_any_shape_can_be_flipped(shape: tuple[int, ...]) -> None:
    words = Words(torch.zeros(shape, dtype=torch.int32), 32)
    flipped = flip(words, torch.arange(words.bits))
    assert flipped.data.shape == shape
    assert bool((flipped.data == -1).all())


def test_no_positions_flip_nothing() -> None:
    words = as_words(patterns(32), 32)
    none = torch.empty(0, dtype=torch.int64)
    assert torch.equal(flip(words, none).data, words.data)
    index, changes = flip_patterns(words, none)
    assert index.numel() == changes.numel() == 0


@pytest.mark.parametrize("width", [1, 8, 12, 32, 64])
@pytest.mark.parametrize("beyond", ["below", "above"])
def test_a_position_outside_the_stored_bits_raises(width: int, beyond: str) -> None:
    words = as_words(patterns(width, 2), width)
    position = -1 if beyond == "below" else 2 * width
    with pytest.raises(ValueError, match=rf"allowed 0\.\.{2 * width - 1}"):
        flip(words, torch.tensor([0, position]))


def test_a_position_given_twice_raises_instead_of_cancelling() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        flip(as_words(patterns(8), 8), torch.tensor([5, 3, 5]))


def test_the_order_of_positions_does_not_matter() -> None:
    words, hits = as_words(patterns(32), 32), torch.tensor([900, 3, 41, 7, 40])
    assert torch.equal(flip(words, hits).data, flip(words, hits.sort().values).data)


@pytest.mark.parametrize("width", [1, 4, 8, 12, 16, 33, 64])
def test_flip_patterns_name_each_changed_word_once_in_order(width: int) -> None:
    words = as_words(patterns(width), width)
    hits = np.random.default_rng(width).permutation(COUNT * width)[: width + 5]
    index, changes = flip_patterns(words, torch.from_numpy(hits))
    assert index.tolist() == sorted({int(hit) // width for hit in hits})
    assert changes.dtype == words.data.dtype
    zeros = np.zeros(COUNT, dtype=np.uint64)
    expected = [x for x in xor_oracle(zeros, width, hits) if x]
    assert as_codes(Words(changes, width)).tolist() == expected

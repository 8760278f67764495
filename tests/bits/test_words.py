"""Words, their carriers, two's complement and bit counts, against numpy and Python integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from campaign.bits import Words, carrier, mask_to_width, popcount, signed

WIDTHS = range(1, 65)


def all_or_some_codes(width: int) -> list[int]:
    """Every code up to 16 bits, else the ends and a seeded sample."""
    if width <= 16:
        return list(range(1 << width))
    top = 1 << width
    sample = np.random.default_rng(width).integers(0, 2**64, 500, dtype=np.uint64).tolist()
    return [0, 1, top - 1, top >> 1, (top >> 1) - 1, *(int(code) % top for code in sample)]


def from_codes(codes: list[int], width: int) -> Words:
    """Words of these codes, through int64 two's complement."""
    wrapped = [code - (1 << 64) if code >= 1 << 63 else code for code in codes]
    return mask_to_width(torch.tensor(wrapped, dtype=torch.int64), width)


def to_codes(words: Words) -> list[int]:
    """The carrier's own bits, unused ones included, as Python integers."""
    size = 8 * words.data.element_size()
    return [value % (1 << size) for value in words.data.tolist()]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_word_keeps_exactly_its_low_bits(width: int) -> None:
    codes = all_or_some_codes(width)
    assert to_codes(from_codes(codes, width)) == codes


@pytest.mark.parametrize("width", WIDTHS)
def test_bits_above_the_width_are_dropped(width: int) -> None:
    values = [-1, -(1 << 62), (1 << 62) + 5, 12345]
    words = mask_to_width(torch.tensor(values), width)
    assert to_codes(words) == [value % (1 << width) for value in values]


@pytest.mark.parametrize("width", WIDTHS)
def test_signed_reads_twos_complement_of_every_width(width: int) -> None:
    codes = all_or_some_codes(width)
    half = 1 << (width - 1)
    expected = [code - (1 << width) if code >= half else code for code in codes]
    stored = from_codes(codes, width).data.to(torch.int64)
    assert signed(stored, width).tolist() == expected


@pytest.mark.parametrize("width", WIDTHS)
def test_signed_undoes_mask_to_width_over_the_whole_range(width: int) -> None:
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    values = range(low, high + 1) if width <= 16 else [low, low + 1, -1, 0, 1, high - 1, high]
    stored = mask_to_width(torch.tensor(list(values)), width)
    assert signed(stored.data.to(torch.int64), width).tolist() == list(values)


@pytest.mark.parametrize("width", WIDTHS)
def test_popcount_equals_the_count_of_python_integers(width: int) -> None:
    codes = all_or_some_codes(width)
    counted = popcount(from_codes(codes, width))
    assert counted.tolist() == [code.bit_count() for code in codes]
    assert counted.dtype == torch.uint8


def test_popcount_equals_numpy_on_words_that_are_not_contiguous() -> None:
    data = torch.randint(-(2**31), 2**31, (6, 8), generator=torch.Generator().manual_seed(1))
    words = Words(data.to(torch.int32).t()[::2], 32)
    expected = np.unpackbits(words.data.contiguous().numpy().view(np.uint8), axis=1).reshape(
        4, 6, 32
    )
    assert popcount(words).tolist() == expected.sum(-1).tolist()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3)])
def test_popcount_keeps_the_shape(shape: tuple[int, ...]) -> None:
    assert popcount(Words(torch.zeros(shape, dtype=torch.int16), 12)).shape == shape


@pytest.mark.parametrize("width", WIDTHS)
def test_the_carrier_is_the_smallest_torch_integer_that_holds_the_width(width: int) -> None:
    size = torch.iinfo(carrier(width)).bits
    assert size >= width
    assert size == 8 or size // 2 < width


@pytest.mark.parametrize("width", [-1, 0, 65])
def test_a_width_outside_1_to_64_raises(width: int) -> None:
    with pytest.raises(ValueError, match=r"a word has 1\.\.64 bits"):
        carrier(width)


@pytest.mark.parametrize(
    ("shape", "width", "bits"), [((3, 4), 12, 144), ((), 32, 32), ((0,), 8, 0)]
)
def test_stored_bits_are_words_times_width(shape: tuple[int, ...], width: int, bits: int) -> None:
    assert Words(torch.zeros(shape, dtype=carrier(width)), width).bits == bits

"""Parity and zero mask: every odd number of flips is found, every even one passes."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from campaign.bits import Words, flip, mask_to_width
from campaign.faults import FAULTS, Stream
from campaign.methods import METHODS, Decoded

PARITY = METHODS.make("parity")


def words_of(width: int) -> Words:
    """Every word of up to 8 bits, else random ones."""
    if width <= 8:
        return mask_to_width(torch.arange(1 << width), width)
    generator = torch.Generator().manual_seed(width)
    return mask_to_width(torch.randint(-(2**62), 2**62, (200,), generator=generator), width)


def decoded_after(words: Words, bits: tuple[int, ...]) -> tuple[Decoded, Words]:
    """Flip the same bits of every codeword (bit `width` is the parity bit), then decode."""
    payload, check = PARITY.encode(words)
    assert check is not None
    every = torch.arange(words.data.numel())
    for bit in bits:
        if bit == words.width:
            check = flip(check, every)
        else:
            payload = flip(payload, every * words.width + bit)
    return PARITY.decode(payload, check), payload


@pytest.mark.parametrize("width", range(1, 9))
def test_the_parity_bit_makes_the_number_of_ones_even(width: int) -> None:
    words = words_of(width)
    payload, check = PARITY.encode(words)
    assert torch.equal(payload.data, words.data)
    assert check is not None
    assert (check.width, check.bits) == (1, 1 << width)
    assert check.data.tolist() == [code.bit_count() % 2 for code in range(1 << width)]


@pytest.mark.parametrize("width", [1, 4, 8, 12, 16, 32, 64])
def test_no_error_changes_nothing(width: int) -> None:
    words = words_of(width)
    found, _ = decoded_after(words, ())
    assert torch.equal(found.words.data, words.data)
    assert (found.corrected, found.detected) == (0, 0)


@pytest.mark.parametrize("width", [1, 4, 8, 12, 16, 32, 64])
def test_every_single_error_in_word_or_parity_bit_reads_as_zero(width: int) -> None:
    words = words_of(width)
    for bit in range(width + 1):
        found, _ = decoded_after(words, (bit,))
        assert not bool(found.words.data.any())
        assert (found.corrected, found.detected) == (0, words.data.numel())


@pytest.mark.parametrize("width", [4, 8])
def test_every_double_error_passes_unseen(width: int) -> None:
    words = words_of(width)
    for bits in combinations(range(width + 1), 2):
        found, payload = decoded_after(words, bits)
        assert torch.equal(found.words.data, payload.data)
        assert (found.corrected, found.detected) == (0, 0)


def test_every_number_of_errors_is_found_when_odd_and_missed_when_even() -> None:
    words = words_of(4)
    for count in range(6):
        for bits in combinations(range(5), count):
            found, _ = decoded_after(words, bits)
            assert found.detected == (words.data.numel() if count % 2 else 0)


def test_only_the_wrong_words_are_zeroed() -> None:
    words = mask_to_width(torch.tensor([3, 5, 7, 9]), 8)
    _, check = PARITY.encode(words)
    found = PARITY.decode(flip(words, torch.tensor([8, 24, 25])), check)
    assert found.words.data.tolist() == [3, 0, 7, 10]
    assert found.detected == 1


@pytest.mark.parametrize("width", [8, 12, 32])
@pytest.mark.parametrize("ber", [1e-3, 1e-2, 0.1])
def test_unseen_and_cleared_words_are_as_many_as_the_closed_form_says(
    ber: float, width: int
) -> None:
    count, fault = 200_000, FAULTS.make("bit_flip")
    raw = torch.randint(2**62, (count,), generator=torch.Generator().manual_seed(width))
    words = mask_to_width(raw | 1, width)  # never 0, so that a cleared word is another one
    payload, check = PARITY.encode(words)
    assert check is not None
    hits = fault.sample(payload, ber, Stream(3, "w", "payload", width))
    others = fault.sample(check, ber, Stream(3, "w", "check0", 1))
    struck = flip(payload, torch.from_numpy(hits))
    found = PARITY.decode(struck, flip(check, torch.from_numpy(others)))
    number = np.bincount(hits // width, minlength=count) + np.bincount(others, minlength=count)
    assert found.detected == int((number % 2).sum())
    cleared = int((found.words.data == 0).sum())
    wrong = int(((found.words.data != words.data) & (found.words.data == struck.data)).sum())
    n = width + 1
    odd = (1 - (1 - 2 * ber) ** n) / 2
    even = (1 + (1 - 2 * ber) ** n) / 2 - (1 - ber) ** n
    assert abs(found.detected - count * odd) < 6 * math.sqrt(count * odd * (1 - odd))
    assert cleared >= found.detected
    assert int((found.words.data[torch.from_numpy(number % 2 == 1)] != 0).sum()) == 0
    assert abs(wrong - count * even) < 6 * math.sqrt(count * even * (1 - even))

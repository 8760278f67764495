"""Parts of words, and votes, against Python integers."""

from __future__ import annotations

from itertools import product
from statistics import median as middle

import pytest
import torch

from campaign.bits import Words, mask_to_width
from campaign.bits.copies import copies_of, majority, median, part, with_part

CASES = [(w, lo, hi) for w in (1, 4, 8, 12, 16, 32, 63, 64) for lo in range(0, w, 7)
         for hi in {lo + 1, (lo + w + 1) // 2, w} if lo < hi]  # fmt: skip


def random_words(width: int, count: int, seed: int = 0) -> Words:
    generator = torch.Generator().manual_seed(seed)
    return mask_to_width(torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator), width)


@pytest.mark.parametrize(("width", "low", "high"), CASES)
def test_a_part_is_cut_out_and_put_back(width: int, low: int, high: int) -> None:
    words, other = random_words(width, 30), random_words(high - low, 30, seed=1)
    bits, mask = range(low, high), (1 << (high - low)) - 1
    cut = part(words, bits)
    codes = [code % (1 << width) for code in words.data.tolist()]
    news = [code & mask for code in other.data.tolist()]
    assert cut.width == high - low
    assert [code & mask for code in cut.data.tolist()] == [code >> low & mask for code in codes]
    put = with_part(words, bits, other)
    assert (put.width, put.data.dtype) == (width, words.data.dtype)
    expected = [c & ~(mask << low) | n << low for c, n in zip(codes, news, strict=True)]
    assert [code % (1 << width) for code in put.data.tolist()] == expected


@pytest.mark.parametrize("count", [3, 5, 7, 9])
def test_the_majority_of_every_pattern_of_copies(count: int) -> None:
    patterns = list(product([0, 1], repeat=count))
    copies = torch.tensor(patterns).t()
    assert majority(list(copies)).tolist() == [sum(p) > count // 2 for p in patterns]


@pytest.mark.parametrize("count", [3, 5, 7, 9])
def test_the_median_is_the_one_of_the_standard_library(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    copies = torch.randint(-5, 5, (count, 2000), generator=generator)
    assert median(list(copies)).tolist() == [middle(column) for column in copies.t().tolist()]


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_copies_are_stacked_in_front(shape: tuple[int, ...]) -> None:
    words = Words(torch.ones(shape, dtype=torch.uint8), 5)
    copies = copies_of(words, 4)
    assert copies.data.shape == (4, *shape)
    assert copies.bits == 4 * words.bits

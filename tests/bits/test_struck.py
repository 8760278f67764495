"""Words that flips lie in, against bit by bit flipping of Python integers and against torch."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from campaign.bits import Words, carrier, flip_patterns, mask_to_width
from campaign.bits.struck import MANY, Strewn, Struck, strike, struck_words


def noise(width: int, count: int = 60) -> Words:
    generator = torch.Generator().manual_seed(width)
    return mask_to_width(torch.randint(-(2**62), 2**62, (count,), generator=generator), width)


def codes(words: Words) -> list[int]:
    return [value % (1 << words.width) for value in words.data.reshape(-1).tolist()]


@pytest.mark.parametrize("width", range(1, 65))
def test_flips_are_those_of_a_loop_over_integers(width: int) -> None:
    words, random = noise(width), np.random.default_rng(width)
    for count in (0, 1, 3, words.bits // 3, words.bits):
        positions = random.permutation(words.bits)[:count].astype(np.int64)
        expected = codes(words)
        for position in positions.tolist():
            expected[position // width] ^= 1 << position % width
        found = struck_words(words, positions)
        assert codes(found.applied(words)) == expected
        assert found.bits == count
        assert found.applied(words).data.dtype == carrier(width)
        assert found.places.tolist() == sorted({p // width for p in positions.tolist()})


@pytest.mark.parametrize("width", [1, 4, 7, 8, 12, 16, 21, 32, 53, 64])
def test_places_and_patterns_are_those_that_torch_finds(width: int) -> None:
    words, random = noise(width), np.random.default_rng(1)
    positions = np.sort(random.permutation(words.bits)[: words.bits // 4]).astype(np.int64)
    index, patterns = flip_patterns(words, torch.from_numpy(positions))
    found = struck_words(words, positions)
    assert found.places.tolist() == index.tolist()
    assert torch.equal(torch.from_numpy(found.patterns), patterns)
    first, second = found.fingerprint()
    assert bytes(first) == index.numpy().astype("<i8").tobytes()
    assert bytes(second) == patterns.to(torch.int64).numpy().astype("<i8").tobytes()


def test_the_words_are_left_unchanged() -> None:
    words = noise(32)
    before = words.data.clone()
    struck_words(words, np.arange(50)).applied(words)
    assert torch.equal(words.data, before)


@pytest.mark.parametrize("positions", [[-1, 3], [5, 480], [480], [3, 2, 481]])
def test_positions_outside_of_the_words_are_refused(positions: list[int]) -> None:
    with pytest.raises(ValueError, match=r"allowed 0\.\.479"):
        struck_words(noise(8), np.array(positions))


@pytest.mark.parametrize("positions", [[5, 5], [9, 2, 9]])
def test_a_position_that_stands_twice_is_refused(positions: list[int]) -> None:
    with pytest.raises(ValueError, match="stands twice"):
        struck_words(noise(8), np.array(positions))


@pytest.mark.parametrize("width", [5, 8, 32])
def test_flips_all_over_the_words_are_those_of_single_words(width: int) -> None:
    words, random = noise(width, 3 * MANY), np.random.default_rng(width)
    few, many = (random.permutation(words.bits)[:count] for count in (MANY, MANY + 1))
    assert isinstance(strike(words, few), Struck)
    found, single = strike(words, many), struck_words(words, many)
    assert isinstance(found, Strewn)
    assert torch.equal(found.applied(words).data, single.applied(words).data)
    assert (found.bits, found.words) == (many.size, single.places.size)
    digest = hashlib.sha256(np.sort(many).astype("<u4").tobytes()).digest()
    assert list(found.fingerprint()) == list(single.fingerprint()) == [digest]
    with pytest.raises(ValueError, match=f"allowed 0..{words.bits - 1}"):
        strike(words, many + words.bits - 1)

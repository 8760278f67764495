"""Asymmetric flips against independent flips of zeros and of ones apart."""

from __future__ import annotations

import numpy as np
import pytest

from campaign.bits import Words
from campaign.faults import FAULTS, Stream
from tests.faults.conftest import noise, values, zeros


def flipped(words: Words, up: float, down: float, ber: float, seed: int = 0) -> list[int]:
    """The positions that an asymmetric model flips."""
    model = FAULTS.make("asymmetric", {"zero_to_one": up, "one_to_zero": down})
    return model.sample(words, ber, Stream(seed, "w", "payload", words.width)).tolist()


def independent(words: Words, ber: float, seed: int = 0) -> set[int]:
    """The positions that flip independently."""
    stream = Stream(seed, "w", "payload", words.width)
    return set(FAULTS.make("bit_flip").sample(words, min(ber, 1.0), stream).tolist())


@pytest.mark.parametrize("width", [1, 8, 12, 32, 64])
@pytest.mark.parametrize(("up", "down"), [(1, 0.1), (0, 1), (1.9, 0.1), (3, 5), (0.5, 0.5)])
@pytest.mark.parametrize("ber", [1e-3, 0.1, 0.5, 1.0])
def test_zeros_and_ones_flip_as_independent_bits_at_their_own_rates(
    width: int, up: float, down: float, ber: float
) -> None:
    words = noise(300, width)
    held = values(words)
    zeros_at, ones_at = independent(words, ber * up), independent(words, ber * down)
    expected = [p for p, v in enumerate(held) if p in (ones_at if v else zeros_at)]
    assert flipped(words, up, down, ber) == expected


@pytest.mark.parametrize("ber", [1e-4, 0.03, 0.7])
def test_the_symmetric_case_is_bit_flip(ber: float) -> None:
    words = noise(3000, 16)
    for seed in range(5):
        assert flipped(words, 1, 1, ber, seed) == sorted(independent(words, ber, seed))


def test_counts_in_each_direction_are_binomial() -> None:
    words = noise(400, 16, ones=0.3)
    held = np.array(values(words))
    counts = np.array(
        [
            np.bincount(held[flipped(words, 1.5, 0.5, 0.02, seed)], minlength=2)
            for seed in range(1000)
        ]
    )
    for value, rate in ((0, 0.03), (1, 0.01)):
        bits = int((held == value).sum())
        variance = bits * rate * (1 - rate)
        assert abs(counts[:, value].mean() - bits * rate) < 6 * (variance / 1000) ** 0.5
        assert abs(counts[:, value].var() / variance - 1) < 6 * (2.2 / 1000) ** 0.5


def test_flips_at_a_lower_rate_are_among_those_at_a_higher() -> None:
    words = noise(500, 32)
    for seed in range(5):
        held: set[int] = set()
        for ber in (1e-5, 1e-3, 0.02, 0.3, 0.6, 1.0):
            found = set(flipped(words, 1.8, 0.2, ber, seed))
            assert held <= found
            held = found


def test_one_direction_leaves_the_other_value_alone() -> None:
    assert flipped(zeros(100, 8), 0, 1, 1.0) == []
    assert flipped(zeros(100, 8), 1, 0, 1.0) == list(range(800))

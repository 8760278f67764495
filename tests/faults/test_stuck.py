"""Stuck cells are those of independent flips; those that held the other value change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from campaign.bits import Words, stored_bits
from campaign.faults import FAULTS, Stream
from tests.faults.conftest import SIX_SIGMA, noise, values

WIDTHS = [1, 7, 8, 16, 32, 39, 64]


def flipped(words: Words, value: object, ber: float, seed: int = 0) -> list[int]:
    """The positions that a stuck-at model flips."""
    stream = Stream(seed, "w", "payload", words.width)
    return FAULTS.make("stuck_at", {"value": value}).sample(words, ber, stream).tolist()


def cells(words: Words, ber: float, seed: int = 0) -> list[int]:
    """The positions that flip independently."""
    stream = Stream(seed, "w", "payload", words.width)
    return FAULTS.make("bit_flip").sample(words, ber, stream).tolist()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("ber", [1e-3, 0.2, 1.0])
def test_cells_that_hold_the_other_value_change_and_no_others(
    width: int, value: int, ber: float
) -> None:
    words = noise(500, width)
    held = values(words)
    assert flipped(words, value, ber) == [p for p in cells(words, ber) if held[p] != value]


@pytest.mark.parametrize("width", [8, 32])
def test_a_cell_keeps_the_random_value_it_is_stuck_at(width: int) -> None:
    words = noise(400, width)
    inverse = Words(~words.data, width)
    for seed in range(5):
        for ber in (0.01, 0.3, 1.0):
            changed, others = (
                flipped(words, "random", ber, seed),
                flipped(inverse, "random", ber, seed),
            )
            assert not set(changed) & set(others)
            assert sorted([*changed, *others]) == cells(words, ber, seed)
        assert set(flipped(words, "random", 0.01, seed)) <= set(flipped(words, "random", 0.3, seed))


@pytest.mark.parametrize(("value", "share"), [(0, 0.8), (1, 0.2), ("random", 0.5)])
def test_as_many_cells_flip_as_hold_the_other_value(value: object, share: float) -> None:
    words = noise(20_000, 32, ones=0.8)
    ones = float(np.mean(values(words)))
    exact = {0: ones, 1: 1 - ones}.get(value, 0.5)  # type: ignore[call-overload]
    assert abs(exact - share) < 0.01
    count, expected = len(flipped(words, value, 0.05)), 640_000 * 0.05 * exact
    assert abs(count - expected) < 6 * expected**0.5


def test_every_bit_is_reached() -> None:
    words = noise(20, 16)
    reached = {p for seed in range(400) for p in flipped(words, "random", 0.05, seed)}
    assert reached == set(range(320))


@pytest.mark.parametrize("lag", [1, 2, 8, 32, 64])
def test_coins_are_fair_and_neighbours_independent(lag: int) -> None:
    places = np.arange(200_000)
    coins = Stream(3, "w", "payload", 32).coins(places).astype(np.int64)
    pairs = np.bincount(2 * coins[:-lag:2] + coins[lag::2][: coins[:-lag:2].size], minlength=4)
    assert stats.chisquare(pairs).pvalue > SIX_SIGMA
    assert abs(coins.sum() - 100_000) < 6 * 50_000**0.5


def test_coins_differ_between_streams_and_not_with_what_was_drawn() -> None:
    places = np.arange(0, 2**40, 2**28)
    first = Stream(3, "w", "payload", 32)
    same = first.coins(places)
    first.uniform(100)
    assert first.coins(places[::-1]).tolist() == same[::-1].tolist()
    streams = [(4, "w", "payload", 32), (3, "v", "payload", 32), (3, "w", "check0", 32)]
    for other in streams:
        agree = int((Stream(*other).coins(places) == same).sum())
        assert abs(agree - 2048) < 6 * 1024**0.5


@pytest.mark.parametrize("width", WIDTHS)
def test_stored_bits_are_those_of_the_words(width: int) -> None:
    words = noise(100, width)
    found = stored_bits(words, np.arange(words.bits))
    assert found.tolist() == values(words)

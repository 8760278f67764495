"""Exactly k flips over the whole memory, every set of them as likely."""

from __future__ import annotations

from itertools import combinations, pairwise
from math import comb

import numpy as np
import pytest
from scipy import stats

from campaign.faults import FAULTS, FieldKey, Stream
from tests.faults.conftest import SIX_SIGMA, Memory, memory

SMALL = [(1, 4), (3, 1), (1, 2)]
MIXED = [(1000, 32), (10, 8), (3, 1), (5000, 32)]


def flips(held: Memory, seed: int, *, ber: float = 0.5, count: int | None = None) -> set[object]:
    """The flipped bits of the whole memory, each named by its field and position."""
    found = FAULTS.make("exact_flips", {"count": count}).sample_all(held, ber, seed)
    return {(key, position) for key, held in found.items() for position in held.tolist()}


def addresses(held: Memory, found: set[object]) -> list[int]:
    """The flips as addresses in the fields one after another."""
    ends = np.cumsum([0, *(exposed.words.bits for exposed in held.values())]).tolist()
    start = dict(zip(held, ends, strict=False))
    return sorted(start[key] + position for key, position in found)  # type: ignore[misc]


@pytest.mark.parametrize(
    "count", [1, 2, 17, 1000, pytest.param(190_000, marks=pytest.mark.slow), 192_083]
)
def test_as_many_bits_flip_as_asked_for_every_seed(count: int) -> None:
    held = memory(*MIXED)
    assert sum(exposed.bits for exposed in held.values()) == 192_083
    for seed in range(3):
        assert len(flips(held, seed, count=count)) == count


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_set_of_bits_is_as_likely_as_any_other(count: int) -> None:
    held, trials = memory(*SMALL), 20 * comb(9, count)
    place = {bits: i for i, bits in enumerate(combinations(range(9), count))}
    drawn = [place[tuple(addresses(held, flips(held, s, count=count)))] for s in range(trials)]
    assert stats.chisquare(np.bincount(drawn, minlength=len(place))).pvalue > SIX_SIGMA


@pytest.mark.parametrize("count", [4, 7])
def test_every_set_of_exposed_bits_is_as_likely_and_no_exempt_bit_flips(count: int) -> None:
    held = memory((2, 4), (1, 6), exempt=frozenset({1, 3}))
    exposed = [0, 2, 4, 6, 8, 10, 12, 13]
    place = {bits: i for i, bits in enumerate(combinations(exposed, count))}
    drawn = [place[tuple(addresses(held, flips(held, s, count=count)))] for s in range(900)]
    assert stats.chisquare(np.bincount(drawn, minlength=len(place))).pvalue > SIX_SIGMA


def test_flips_of_a_parameter_are_hypergeometric() -> None:
    held = memory((60, 8), (20, 8))
    first = [
        sum(key == ("w1", "payload") for key, _ in flips(held, seed, count=24))  # type: ignore[misc]
        for seed in range(1500)
    ]
    law = stats.hypergeom(640, 160, 24)
    assert abs(np.mean(first) - law.mean()) < 6 * law.std() / 1500**0.5
    assert abs(np.var(first) - law.var()) < 6 * law.var() * (2.2 / 1500) ** 0.5


@pytest.mark.slow
def test_fewer_flips_are_among_more_with_one_seed() -> None:
    held = memory(*MIXED)
    for seed in range(5):
        sets = [flips(held, seed, count=k) for k in (1, 2, 5, 100, 3000, 100_000, 192_083)]
        assert all(fewer < more for fewer, more in pairwise(sets))


@pytest.mark.parametrize("ber", [1e-4, 0.01, pytest.param(0.4, marks=pytest.mark.slow)])
def test_they_are_the_first_bits_to_flip_independently_as_the_rate_grows(ber: float) -> None:
    held = memory(*MIXED)
    for seed in range(5):
        found = FAULTS.make("bit_flip").sample_all(held, ber, seed)
        independent = {(key, p) for key, places in found.items() for p in places.tolist()}
        assert flips(held, seed, count=max(len(independent), 1)) >= independent


@pytest.mark.parametrize(
    ("ber", "expected"),
    [(0.0, 0), (1e-6, 0), (2.5e-6, 0), (2.7e-6, 1), (1e-3, 192), (1.0, 192_083)],
)
def test_without_a_count_it_is_the_rate_times_the_exposed_bits(ber: float, expected: int) -> None:
    assert len(flips(memory(*MIXED), 3, ber=ber)) == expected


def test_exempt_bits_do_not_count() -> None:
    held = memory((1000, 16), exempt=frozenset(range(12)))
    assert len(flips(held, 0, ber=0.01)) == 40


def test_a_count_is_kept_at_any_rate_but_0() -> None:
    held = memory(*MIXED)
    assert flips(held, 1, ber=1e-9, count=7) == flips(held, 1, ber=1.0, count=7)
    assert flips(held, 1, ber=0.0, count=7) == set()


def test_more_flips_than_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="10 flips do not fit into 9 exposed bits"):
        flips(memory(*SMALL), 0, count=10)


def test_words_alone_are_a_memory_of_their_own() -> None:
    model = FAULTS.make("exact_flips", {"count": 30})
    key = FieldKey("w0", "payload")
    alone = model.sample(memory((100, 8))[key].words, 0.5, Stream(4, *key, 8))
    assert alone.tolist() == model.sample_all(memory((100, 8)), 0.5, 4)[key].tolist()
    assert alone.size == 30

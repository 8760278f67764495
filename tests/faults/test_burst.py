"""Bursts against a count of covering events by plain loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from campaign.faults import FAULTS, Stream
from tests.faults.conftest import zeros

Geometry = tuple[int, int, int]
GEOMETRIES: list[Geometry] = [(2, 512, 4096), (3, 16, 1000), (8, 8, 84), (5, 7, 3), (4, 64, 66)]


def flipped(geometry: Geometry, ber: float, seed: int = 0) -> list[int]:
    """The positions in a field of so many bits."""
    length, row_bits, bits = geometry
    model = FAULTS.make("burst", {"length": length, "row_bits": row_bits})
    return model.sample(zeros(bits, 1), ber, Stream(seed, "w", "payload", 1)).tolist()


def events(geometry: Geometry) -> list[range]:
    """The bits of every possible event."""
    length, row_bits, bits = geometry
    found = []
    for row in range(0, bits, row_bits):
        end = min(row + row_bits, bits)
        last = max(end - length, row)
        found += [range(start, min(start + length, end)) for start in range(row, last + 1)]
    return found


def covers(geometry: Geometry) -> list[int]:
    """How many events cover each bit."""
    counted = Counter(bit for event in events(geometry) for bit in event)
    return [counted[bit] for bit in range(geometry[2])]


def event_rate(geometry: Geometry, ber: float) -> float:
    """The rate of events at which a share `ber` flips, by bisection over plain sums."""
    held, (low, high) = covers(geometry), (0.0, 1.0)
    for _ in range(80):
        middle = (low + high) / 2
        share = sum(1 - (1 - middle) ** c for c in held) / len(held)
        low, high = (middle, high) if share < ber else (low, middle)
    return high


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("ber", [0.01, 0.2, 0.9])
def test_flips_are_whole_events_at_the_rate_that_gives_the_ber(
    geometry: Geometry, ber: float
) -> None:
    """The events are a Bernoulli process over all starts, drawn as bits of `bit_flip` are."""
    possible, rate = events(geometry), event_rate(geometry, ber)
    for seed in range(5):
        starts = FAULTS.make("bit_flip").sample(
            zeros(len(possible), 1), rate, Stream(seed, "w", "payload", 1)
        )
        expected = {bit for start in starts.tolist() for bit in possible[start]}
        assert flipped(geometry, ber, seed) == sorted(expected)


@pytest.mark.parametrize("geometry", [(2, 32, 256), (4, 16, 100), (8, 8, 84)])
@pytest.mark.parametrize("ber", [0.02, 0.3])
def test_the_share_of_flips_is_the_ber_and_each_bit_has_its_closed_form(
    geometry: Geometry, ber: float
) -> None:
    trials, bits = 800, geometry[2]
    maps = np.zeros((trials, bits))
    for seed in range(trials):
        maps[seed, flipped(geometry, ber, seed)] = 1
    shares = maps.mean(1)
    assert abs(shares.mean() - ber) < 6 * shares.std() / trials**0.5
    rate = event_rate(geometry, ber)
    expected = 1 - (1 - rate) ** np.array(covers(geometry))
    spread = (expected * (1 - expected) / trials) ** 0.5
    assert (abs(maps.mean(0) - expected) < 6 * spread).all()


@pytest.mark.parametrize("ber", [1e-4, 0.03, 0.7])
def test_bursts_of_one_bit_are_bit_flip(ber: float) -> None:
    words = zeros(3000, 16)
    for seed in range(4):
        single, flips = (
            FAULTS.make(name, options).sample(words, ber, Stream(seed, "w", "payload", 16))
            for name, options in (("burst", {"length": 1, "row_bits": 100}), ("bit_flip", {}))
        )
        assert single.tolist() == flips.tolist()


def test_no_burst_crosses_the_end_of_a_row() -> None:
    for seed in range(200):
        hit = flipped((4, 16, 4096), 1e-3, seed)
        for row, count in Counter(bit // 16 for bit in hit).items():
            own = [bit for bit in hit if bit // 16 == row]
            assert count >= 4
            runs = np.split(own, np.flatnonzero(np.diff(own) > 1) + 1)
            assert all(len(run) >= 4 for run in runs)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_bit_is_reached_and_all_flip_at_1(geometry: Geometry) -> None:
    assert flipped(geometry, 1.0) == list(range(geometry[2]))
    reached = {bit for seed in range(200) for bit in flipped(geometry, 0.1, seed)}
    assert reached == set(range(geometry[2]))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_flips_at_a_lower_rate_are_among_those_at_a_higher(geometry: Geometry) -> None:
    for seed in range(10):
        held: set[int] = set()
        for ber in (1e-4, 1e-3, 0.05, 0.3, 0.8, 1.0):
            found = set(flipped(geometry, ber, seed))
            assert held <= found
            held = found


def test_small_rates_cost_nothing_and_are_met() -> None:
    hits = [len(flipped((2, 512, 10_000_000), 1e-6, seed)) for seed in range(100)]
    assert abs(sum(hits) - 1000) < 6 * (2 * 1000) ** 0.5  # pairs: twice the variance

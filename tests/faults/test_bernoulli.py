"""Geometric gaps against a dense draw, and their extreme rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from campaign.faults import Stream
from campaign.faults.thresholds import bernoulli_positions


def stream(seed: int) -> Stream:
    """Random numbers of some tensor."""
    return Stream(seed, "w", "payload", 8)


@pytest.mark.parametrize("rate", [2**-20, 1e-3, 0.1, 0.5, 0.9, 1 - 2**-20, 1.0])
@pytest.mark.parametrize("count", [1, 2, 1000, 100_000])
def test_successes_are_ascending_distinct_and_inside(rate: float, count: int) -> None:
    positions = bernoulli_positions(count, rate, stream(1))
    assert positions.dtype == np.int64
    assert bool((np.diff(positions) > 0).all())
    assert positions.size == 0 or 0 <= positions[0] <= positions[-1] < count


@pytest.mark.parametrize("rate", [1e-3, 0.05, 0.5, 0.9])
def test_gaps_are_geometric(rate: float) -> None:
    gaps = np.diff(bernoulli_positions(int(20_000 / rate), rate, stream(2)), prepend=-1)
    most = math.ceil(math.log(1e-3) / math.log1p(-rate))
    inside = np.minimum(gaps, most + 1)
    expected = gaps.size * np.append(
        stats.geom.pmf(np.arange(1, most + 1), rate), stats.geom.sf(most, rate)
    )
    observed = np.bincount(inside, minlength=most + 2)[1:]
    assert stats.chisquare(observed, expected).pvalue > 2e-9


def test_gaps_are_those_of_the_inverse_distribution_function() -> None:
    rate, source = 0.07, stream(3)
    gaps = np.diff(bernoulli_positions(5000, rate, stream(3)), prepend=-1)
    uniforms = source.uniform(gaps.size)
    expected = [next_success(float(u), rate) for u in uniforms]
    assert gaps.tolist() == expected


def next_success(uniform: float, rate: float) -> int:
    """The smallest g with 1 - (1 - rate)^g > uniform, by counting up."""
    gap, miss = 1, 1.0 - rate
    while 1.0 - miss <= uniform:
        gap, miss = gap + 1, miss * (1.0 - rate)
    return gap


def test_a_rate_so_small_that_nothing_succeeds_ends_at_once() -> None:
    assert bernoulli_positions(1000, 1e-300, stream(0)).size == 0


def test_the_end_of_the_range_is_as_likely_as_its_start() -> None:
    hits = np.concatenate([bernoulli_positions(64, 0.05, stream(seed)) for seed in range(5000)])
    assert stats.chisquare(np.bincount(hits, minlength=64)).pvalue > 2e-9

"""The sample size against printed tables and against the interval that it promises."""

from __future__ import annotations

import math

import pytest

from campaign.analysis.sample_size import sample_size


@pytest.mark.parametrize(
    ("confidence", "cutoff", "margin", "expected"),
    [
        (0.95, 1.96, 0.01, 9_604),
        (0.99, 2.576, 0.01, 16_590),
        (0.95, 1.96, 0.02, 2_401),
        (0.95, 1.96, 0.05, 385),
    ],
)
def test_sizes_for_endless_populations_are_those_in_print(
    confidence: float, cutoff: float, margin: float, expected: int
) -> None:
    assert sample_size(margin=margin, cutoff=cutoff) == expected
    assert abs(sample_size(margin=margin, confidence=confidence) - expected) <= 2


def test_a_margin_of_a_thousandth_takes_1_66_million() -> None:
    assert round(sample_size(margin=0.001, confidence=0.99) / 1e6, 2) == 1.66


@pytest.mark.parametrize("population", [10, 385, 5_000, 10**6, 374_064_384])
@pytest.mark.parametrize("margin", [0.2, 0.05, 0.01, 0.001])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_the_interval_of_a_finite_population_is_as_wide_as_asked_and_no_narrower_sample_is(
    population: int, margin: float, share: float
) -> None:
    """The variance of the mean of n draws without repeats is p(1-p)/n (N-n)/(N-1)."""

    def half_width(n: int) -> float:
        return 1.96 * math.sqrt(share * (1 - share) / n * (population - n) / (population - 1))

    n = sample_size(population, margin=margin, share=share, cutoff=1.96)
    assert 1 <= n <= population
    assert half_width(n) <= margin * (1 + 1e-9)
    assert n == 1 or half_width(n - 1) > margin * (1 - 1e-9)


def test_all_of_a_small_population_is_drawn() -> None:
    assert sample_size(1, margin=0.01) == 1
    assert sample_size(50, margin=0.001) == 50


@pytest.mark.parametrize(
    "wrong",
    [
        {"margin": 0.0},
        {"margin": 1.0},
        {"margin": 0.1, "confidence": 1.0},
        {"margin": 0.1, "share": 0.0},
        {"margin": math.nan},
    ],
)
def test_what_is_no_probability_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        sample_size(**wrong)


@pytest.mark.parametrize("population", [0, -5, math.nan])
def test_no_faults_cannot_be_sampled(population: float) -> None:
    with pytest.raises(ValueError, match="allowed: at least 1"):
        sample_size(population, margin=0.1)

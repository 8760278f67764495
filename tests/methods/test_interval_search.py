"""The interval search and its area, on functions and networks whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from campaign.faults import FieldKey
from campaign.faults.subject import Flips
from campaign.methods.interval_search import accuracy_area, best_threshold, drawn_maps
from campaign.networks.sites import Visit

PUBLISHED = {"iterations": 4, "least_iterations": 3, "delta": 0.0025}


class Counting:
    """A function that remembers where it was asked."""

    def __init__(self, area: Callable[[float], float]) -> None:
        self.area, self.asked = area, list[float]()

    def __call__(self, threshold: float) -> float:
        self.asked.append(threshold)
        return self.area(threshold)


@pytest.mark.parametrize("peak", [0.0, 0.3, 1.0, 4.4, 6.2, 8.9, 9.0])
def test_the_peak_is_found_to_the_width_of_the_last_parts(peak: float) -> None:
    area = Counting(lambda t: -abs(t - peak))
    found = best_threshold(9.0, area, iterations=9, least_iterations=9, delta=0)
    assert abs(found - peak) <= 9 * (2 / 3) ** 9
    assert all(0 <= t <= 9 for t in area.asked)


def test_no_threshold_that_was_tried_has_a_larger_area() -> None:
    rng = np.random.default_rng(0)
    for largest in rng.uniform(0.1, 50, 200):
        values = dict[float, float]()

        def area(threshold: float, values: dict[float, float] = values) -> float:
            assert threshold not in values  # asked once for each
            return values.setdefault(threshold, float(rng.integers(0, 4)))

        found = best_threshold(largest, area, **PUBLISHED)
        assert values[found] == max(values.values()) >= values[largest]
        assert found == max(t for t in values if values[t] == values[found])


def test_thirds_are_tried_and_the_parts_beside_the_best_divided() -> None:
    area = Counting(lambda t: -abs(t - 7))
    best_threshold(9.0, area, iterations=2, least_iterations=2, delta=0)
    assert area.asked == [0, 3, 6, 9, 5, 7]  # 6 is the best of the first four


@pytest.mark.parametrize(("delta", "rounds"), [(1.0, 3), (0.0, 4)])
def test_the_search_stops_early_only_where_areas_are_near(delta: float, rounds: int) -> None:
    area = Counting(lambda t: t / 100)  # the best is always the end: two new points a round
    best_threshold(9.0, area, iterations=4, least_iterations=3, delta=delta)
    assert len(area.asked) == 4 + (rounds - 1) * 2


@pytest.mark.parametrize("largest", [0.0, math.inf, math.nan])
def test_without_an_interval_nothing_is_sought(largest: float) -> None:
    area = Counting(lambda t: 0.0)
    assert str(best_threshold(largest, area, **PUBLISHED)) == str(largest)
    assert area.asked == []


KEY = FieldKey("w", "payload")


class Ladder:
    """A subject that has as many right answers as its flips say."""

    n_images = 10

    def draw(self, ber: float, seed: int) -> Flips:
        count = round(ber * 10) if seed else 0
        return {KEY: np.arange(count)}

    def correct(self, flips: Flips, visit: Visit | None = None) -> int:
        return 10 - len(flips[KEY])


def test_the_area_is_that_of_the_trapezoidal_rule() -> None:
    subject, rates = Ladder(), (0.1, 0.5, 0.2, 0.9)
    maps = drawn_maps(subject, rates, 4)  # type: ignore[arg-type]
    accuracies = [np.mean([1.0, *[1 - rate] * 3]) for rate in sorted(rates)]
    area = np.trapezoid(accuracies, np.linspace(0, 1, 4))
    found = accuracy_area(subject, maps, lambda _, value: value)  # type: ignore[arg-type]
    assert found == pytest.approx(area, rel=1e-12)


def test_equal_maps_are_tried_once() -> None:
    maps = drawn_maps(Ladder(), (0.1, 0.5, 0.9), 5)  # type: ignore[arg-type]
    assert len(maps) == 4  # no flip, and one map for each rate
    assert sum(weight for _, weight in maps) == 5 * (1 + 2 + 1)


def test_one_rate_counts_alone() -> None:
    subject = Ladder()
    maps = drawn_maps(subject, (0.4,), 2)  # type: ignore[arg-type]
    assert accuracy_area(subject, maps, lambda _, value: value) == 0.8  # type: ignore[arg-type]

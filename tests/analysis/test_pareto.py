"""The front against the definition, pair by pair."""

import numpy as np
import pytest

from campaign.analysis.pareto import undominated


def beaten(costs: np.ndarray, gains: np.ndarray, i: int) -> bool:
    for j in range(len(gains)):
        as_good = gains[j] >= gains[i] and all(costs[j] <= costs[i])
        better = gains[j] > gains[i] or any(costs[j] < costs[i])
        if as_good and better:
            return True
    return False


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("values", [3, 1000])
def test_the_front_is_what_no_other_beats(width: int, values: int) -> None:
    random = np.random.default_rng(width * values)
    for n in (1, 2, 7, 60):
        costs = random.integers(0, values, (n, width)).astype(float)
        gains = random.integers(0, values, n).astype(float)
        expected = [not beaten(costs, gains, i) for i in range(n)]
        assert undominated(costs, gains).tolist() == expected


def test_equal_choices_are_all_on_the_front_and_unknown_ones_on_none() -> None:
    costs = np.array([[1.0], [1.0], [0.0], [np.nan], [1.0]])
    gains = np.array([2.0, 2.0, np.nan, 9.0, np.inf])
    assert undominated(costs[:4], gains[:4]).tolist() == [True, True, False, False]
    assert undominated(costs, gains).tolist() == [False, False, False, False, True]


def test_no_choices_have_no_front() -> None:
    assert undominated(np.empty((0, 2)), np.empty(0)).shape == (0,)

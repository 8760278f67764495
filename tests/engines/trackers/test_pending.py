"""When a point is told."""

from __future__ import annotations

import pytest

from campaign.engines.trackers.pending import due, has_moved, trials
from campaign.engines.trackers.points import Values


def point(step: int, n: int, top1: float) -> Values:
    return {("n_trials", step): float(n), ("top1_mean", step): top1}


TOLD = point(1, 10, 0.8)


@pytest.mark.parametrize(
    ("now", "seen", "is_told"),
    [
        pytest.param(point(1, 11, 0.7), {}, False, id="one more trial"),
        pytest.param(point(1, 19, 0.7), point(1, 18, 0.7), False, id="still changing"),
        pytest.param(point(1, 20, 0.7), point(1, 19, 0.7), True, id="doubled"),
        pytest.param(point(1, 11, 0.7), point(1, 11, 0.7), True, id="settled"),
        pytest.param(point(1, 11, 0.7), None, True, id="the end"),
    ],
)
def test_a_told_point_is_told_again_when_it_doubled_or_settled(
    now: Values, seen: Values | None, is_told: bool
) -> None:
    assert due(now, TOLD, seen) == (now if is_told else {})


def test_a_new_point_is_told_at_once_and_an_old_one_beside_it_waits() -> None:
    now = {**point(1, 11, 0.7), **point(2, 1, 0.5)}
    assert due(now, TOLD, {}) == point(2, 1, 0.5)


def test_values_of_the_whole_curve_go_with_any_point() -> None:
    told = {**TOLD, ("clean_top1", 0): 0.9, ("ber_at_1pt_drop", 0): 1e-5}
    waiting = {**point(1, 11, 0.7), ("clean_top1", 0): 0.9, ("ber_at_1pt_drop", 0): 2e-5}
    assert due(waiting, told, {}) == {}
    ready = {**waiting, **point(2, 1, 0.5)}
    assert due(ready, told, {}) == {("ber_at_1pt_drop", 0): 2e-5, **point(2, 1, 0.5)}


def test_what_has_not_changed_is_never_told_again() -> None:
    assert due(TOLD, TOLD, None) == {}
    assert due({**TOLD, ("top1_mean", 1): 0.7}, TOLD, None) == {("top1_mean", 1): 0.7}


def test_failed_trials_count_as_trials() -> None:
    assert trials({("n_trials", 1): 3.0, ("n_failed", 1): 2.0, ("n_trials", 2): 4.0}) == 9


def test_a_step_has_moved_if_it_stood_for_another_rate() -> None:
    told = {("ber", 0): 0.0, ("ber", 2): 1e-3, ("top1_mean", 2): 0.5}
    assert not has_moved(told, (0.0, 1e-4, 1e-3))
    assert not has_moved(told, (0.0, 1e-4, 1e-3, 1e-2))
    assert has_moved(told, (0.0, 1e-3))
    assert has_moved(told, (0.0, 1e-5, 1e-4, 1e-3))

"""Geometry: nothing on top of anything else, nothing off the page."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from campaign.analysis.layout import COLUMN, LEAST_PLOT, PAGE, Label, arrange, spread


@pytest.mark.parametrize("seed", range(5))
def test_labels_move_as_little_as_a_general_optimiser_finds(seed: int) -> None:
    wanted = np.sort(np.random.default_rng(seed).uniform(0, 10, 6))
    found = np.array(spread(wanted.tolist(), 1.0, -100, 100))
    ordered = {"type": "ineq", "fun": lambda places: np.diff(places) - 1.0}
    best = minimize(lambda places: ((places - wanted) ** 2).sum(), found + 0.3, constraints=ordered)
    np.testing.assert_allclose(found, best.x, atol=1e-4)


def test_labels_keep_their_distance_and_stay_inside_where_there_is_room() -> None:
    found = spread([0.9, 0.95, 0.97, 0.99, 1.0], 0.2, 0.0, 1.0)
    assert np.diff(found).min() >= 0.2 - 1e-12
    assert found[0] >= -1e-12
    assert found[-1] <= 1 + 1e-12


def test_labels_with_room_do_not_move() -> None:
    assert spread([0.1, 0.5, 0.9], 0.2, 0.0, 1.0) == pytest.approx([0.1, 0.5, 0.9])
    assert spread([], 0.2, 0.0, 1.0) == []


@pytest.mark.parametrize("rows", [[1], [2], [3], [7], [12], [2, 2], [3, 3, 3, 3], [4] * 5, [1] * 3])
@pytest.mark.parametrize("lines", [1, 6, 8, 14])
@pytest.mark.parametrize("width", [0.3, 1.2, 3.0])
def test_panels_and_their_labels_have_their_own_places_on_the_page(
    rows: list[int], lines: int, width: float
) -> None:
    labels = [Label("x", width)] * lines
    layout = arrange(rows, lines=lines, labels=labels, footnotes=2, titled=True)
    assert layout.width == (COLUMN if sum(rows) == 1 else PAGE)
    assert len(layout.boxes) == sum(rows)
    beside = 0.36 + width if layout.direct else 0.0
    for box in layout.boxes:
        assert 0 <= box.left
        assert box.left + box.width + beside <= layout.width
        assert box.bottom + box.height <= layout.height
        assert box.bottom > layout.footnote_bottom
        assert box.width >= LEAST_PLOT - 1e-9
    for one, other in itertools.combinations(layout.boxes, 2):
        apart = one.left + one.width + beside <= other.left or one.bottom >= other.bottom + 0.3
        assert apart or other.left + other.width + beside <= one.left or other.row < one.row


def test_more_than_eight_lines_or_long_labels_get_a_legend() -> None:
    short, long = Label("x", 0.5), Label("x", 2.5)
    assert arrange([1], lines=8, labels=[short] * 8).direct
    assert not arrange([1], lines=9, labels=[short] * 9).direct
    assert not arrange([1], lines=2, labels=[long] * 2).direct


def test_three_panels_stand_abreast_and_leave_no_corner_empty() -> None:
    for width, direct in ((0.4, True), (1.2, False)):
        found = arrange([3], lines=6, labels=[Label("x", width)] * 6)
        assert found.direct == direct
        assert [(box.row, box.column) for box in found.boxes] == [(0, 0), (0, 1), (0, 2)]


def test_a_row_of_four_is_wrapped_so_that_labels_fit_at_the_lines() -> None:
    wrapped = arrange([4], lines=6, labels=[Label("x", 1.2)] * 6)
    assert wrapped.direct
    assert {box.column for box in wrapped.boxes} == {0, 1}
    many = arrange([4], lines=12, labels=[Label("x", 1.2)] * 12)
    assert not many.direct
    assert {box.column for box in many.boxes} == {0, 1, 2}


def test_the_legend_takes_as_many_columns_as_fit() -> None:
    found = arrange([3], lines=12, labels=[Label("x", 1.2)] * 12)
    assert found.legend_columns == int((PAGE - 0.12) / (1.2 + 0.45))

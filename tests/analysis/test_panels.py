"""Which figures and panels a campaign gets."""

from collections.abc import Callable
from typing import Any

import numpy as np

from campaign.analysis.curves import curves
from campaign.analysis.panels import Page, pages

Make = Callable[..., Any]


def titles(page: Page) -> list[list[str | None]]:
    return [[panel and panel.title for panel in row] for row in page.panels]


def test_models_are_rows_and_dtypes_columns_and_what_was_not_run_is_empty(make_rows: Make) -> None:
    rows = make_rows(models=["b", "a"], dtypes=["fp32", "fp16"])
    rows = rows[(rows["model"] != "a") | (rows["dtype"] != "fp16")]
    (page,) = pages(curves(rows), "top1")
    assert titles(page) == [[None, "a · fp32"], ["b · fp16", "b · fp32"]]
    assert (page.name, page.title) == ("", "")


def test_one_model_is_one_row_to_be_wrapped(make_rows: Make) -> None:
    (page,) = pages(curves(make_rows(dtypes=["fp32", "fp16", "q2_5"])), "top1")
    assert titles(page) == [["resnet20 · fp16", "resnet20 · fp32", "resnet20 · q2_5"]]


def test_many_dtypes_give_each_model_a_page(make_rows: Make) -> None:
    made = pages(curves(make_rows(models=["a", "b"], dtypes=list("vwxyz"))), "top1")
    assert [page.name for page in made] == ["a", "b"]
    assert [len(page.panels[0]) for page in made] == [5, 5]


def test_many_models_are_cut_into_pages(make_rows: Make) -> None:
    rows = make_rows(models=list("abcdefg"), dtypes=["fp32", "fp16"], bers=(0.0, 1e-6))
    made = pages(curves(rows), "top1")
    assert [(page.name, len(page.panels)) for page in made] == [("part-1", 5), ("part-2", 2)]


def test_variants_have_pages_with_names_of_their_own(make_rows: Make) -> None:
    made = pages(curves(make_rows(nonfinite=["zero", "propagate"])), "top1")
    assert [page.name for page in made] == ["nonfinite-propagate", "nonfinite-zero"]
    assert [page.title for page in made] == ["nonfinite propagate", "nonfinite zero"]
    assert all(set(page.points["nonfinite"]) == {page.title.split()[1]} for page in made)


def test_variants_whose_names_become_the_same_are_numbered(
    make_points: Make, to_frame: Make
) -> None:
    rows = make_points([0.5], 1e-6, targets="a+b") + make_points([0.5], 1e-6, targets="a;b")
    assert [page.name for page in pages(curves(to_frame(rows)), "top1")] == [
        "targets-a-b_1",
        "targets-a-b_2",
    ]


def test_a_line_holds_the_points_above_ber_zero_and_the_clean_accuracy(make_rows: Make) -> None:
    points = curves(make_rows(protections=[("none", None), ("weight_scaling", 2.0)]))
    (page,) = pages(points, "top1")
    panel = page.panels[0][0]
    assert panel is not None
    assert [line.protection for line in panel.lines] == [("none", None), ("weight_scaling", 2.0)]
    line = panel.lines[1]
    np.testing.assert_array_equal(line.ber, [1e-7, 1e-6, 1e-5, 1e-4])
    drawn = points[(points["method"] == "weight_scaling") & (points["ber"] > 0)]
    np.testing.assert_array_equal(line.mean, drawn["top1_mean"])
    assert line.clean == 0.92


def test_the_fault_free_trial_alone_gives_no_figure(make_rows: Make) -> None:
    assert pages(curves(make_rows(bers=(0.0,))), "top1") == []

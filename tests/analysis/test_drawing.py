"""Lines that coincide are both seen."""

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from campaign.analysis.curves import curves
from campaign.analysis.drawing import Frame, turns
from campaign.analysis.figures import SETTINGS, draw_page
from campaign.analysis.panels import Line, Panel, pages
from campaign.analysis.styles import line_styles

Make = Callable[..., Any]
BERS = np.array([1e-6, 1e-5, 1e-4])


def line(method: str, *means: float) -> Line:
    values = np.array(means)
    return Line((method, None), BERS[: len(means)], values, values, values, 0.9, values < 0)


def test_lines_take_turns_where_they_coincide_and_only_there() -> None:
    lines = [
        line("none", 0.9, 0.5, 0.1),
        line("a", 0.9, 0.7, 0.1),
        line("b", 0.9, 0.5005, 0.1),
        line("c", 0.9, 0.5),
        line("d", 0.9, 0.4995, 0.1),
        line("e", 0.9),
        line("f", 0.9),
    ]
    assert turns(Panel("", lines), Frame(1e-6, 1e-4, 0.0, 1.0)) == [
        (0, 3),
        (0, 1),
        (1, 3),
        (0, 1),
        (2, 3),
        (0, 1),
        (0, 1),
    ]


def test_equal_curves_are_drawn_in_turns_and_the_footnote_says_so(
    make_points: Make, to_frame: Make
) -> None:
    rows = []
    for method in ("none", "parity"):
        rows += make_points([0.9], 0.0, method=method)
        for ber, share in zip(BERS, (0.9, 0.5, 0.1), strict=True):
            rows += make_points([share] * 3, float(ber), method=method)
    (page,) = pages(curves(to_frame(rows)), "top1")
    styles = line_styles([("none", None), ("parity", None)])
    with mpl.rc_context(SETTINGS):
        figure = draw_page(page, "top1", "bounded", styles)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    drawn = figure.axes[0].get_lines()
    equal = [
        each
        for each in drawn
        if np.array_equal(each.get_xdata(), BERS) and each.get_marker() != "None"
    ]
    assert {each.get_markevery() for each in equal} == {(0, 2), (1, 2)}
    said = "".join(text.get_text() for text in figure.texts)
    assert "coincide" in said.replace("\n", " ")


def test_bands_that_only_cover_each_other_are_left_out_and_the_footnote_says_so(
    make_points: Make, to_frame: Make
) -> None:
    for count, bands in ((8, 8), (9, 0)):
        methods, rows = ["none", *(f"m{place}" for place in range(count - 1))], []
        for method in methods:
            rows += make_points([0.9], 0.0, method=method)
            for ber in BERS:
                rows += make_points([0.7, 0.9, 0.8], float(ber), method=method)
        (page,) = pages(curves(to_frame(rows)), "top1")
        styles = line_styles([(method, None) for method in methods])
        with mpl.rc_context(SETTINGS):
            figure = draw_page(page, "top1", "bounded", styles)
        assert len([c for axes in figure.axes for c in axes.collections]) == bands
        said = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
        assert ("Left out where a panel has more than 8 curves" in said) == (bands == 0)

"""The figure of fronts: what it shows, whole and legible."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from campaign.analysis.cost import costs
from campaign.analysis.figures import SETTINGS
from campaign.analysis.order import Order
from campaign.analysis.pareto_figure import draw_pareto, draw_sheet
from campaign.analysis.pareto_points import sheets

Make = Callable[..., Any]
DTYPES = ["fp32", "fp16", "bf16", "fp8_e4m3fn", "int8", "q2_5", "q15_16"]
METHODS = ["none", "parity", "secded", "nmr", "saf(function=scaled_tanh)", "range_clamp", "bch"]
METHODS += ["range_clamp(out_of_range=zero)", "msb_copy", "selective", "a", "b"]


def many(make_rows: Make, **given: Any) -> pd.DataFrame:
    """A row of costs for each of 84 curves a model."""
    rows = make_rows(dtypes=DTYPES, protections=[(m, None) for m in METHODS], **given)
    width = rows["dtype"].map(dict(zip(DTYPES, (32, 16, 16, 8, 8, 8, 32), strict=True)))
    checks = rows["method"].map({m: 37 * place for place, m in enumerate(METHODS)})
    return costs(rows.assign(stored_bits=100 * width, check_bits=checks * width // 8))


@pytest.fixture(scope="module")
def drawn(make_rows: Make) -> Any:
    (sheet,) = sheets(many(make_rows, models=["resnet20", "vgg11"]), Order())
    with mpl.rc_context(SETTINGS):
        figure = draw_sheet(sheet, "top1")
        FigureCanvasAgg(figure).draw()
    return sheet, figure


def test_every_text_is_whole_and_on_no_other(drawn: Any) -> None:
    _, figure = drawn
    width, height = figure.get_size_inches() * figure.dpi
    found = [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible()
    ]
    for text, box in found:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
    for (one, box), (other, place) in itertools.combinations(found, 2):
        across = min(box.x1, place.x1) - max(box.x0, place.x0)
        up = min(box.y1, place.y1) - max(box.y0, place.y0)
        assert across <= 1 or up <= 0.25 * min(box.height, place.height), (one, other)


def test_every_curve_is_a_point_and_the_named_ones_have_names(drawn: Any) -> None:
    sheet, figure = drawn
    for axes, model in zip(figure.axes, reversed(sheet.models), strict=True):
        points = {
            (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
            for line in axes.get_lines()
            if len(line.get_xdata()) == 1
        }
        spots = [spot for spot in sheet.spots if spot.model == model]
        assert points == {(spot.x, spot.y) for spot in spots}
        names = [text.get_text() for text in axes.texts if text.get_text()]
        assert sorted(names) == sorted(spot.name for spot in spots if spot.named)


def test_named_are_the_front_and_the_best_of_each_dtype(drawn: Any) -> None:
    sheet, _ = drawn
    for model, dtype in itertools.product(sheet.models, DTYPES):
        spots = [s for s in sheet.spots if (s.model, s.dtype) == (model, dtype)]
        best = max(spots, key=lambda s: (s.bound, s.y, -s.x))
        assert {s for s in spots if s.named} == {best} | {s for s in spots if s.front}


def test_the_front_is_a_staircase_through_its_points(drawn: Any) -> None:
    sheet, figure = drawn
    spots = [s for s in sheet.spots if s.front and s.model == sheet.models[-1]]
    (line,) = (each for each in figure.axes[0].get_lines() if each.get_drawstyle() == "steps-post")
    expected = sorted((s.x, s.y) for s in spots)
    np.testing.assert_array_equal(line.get_xydata()[:-1], expected)
    assert np.all(np.diff(line.get_ydata()) >= 0)


def test_bounds_are_arrows(make_points: Make, to_frame: Make) -> None:
    rows = []
    for method, share in (("up", 0.9), ("down", 0.1)):
        rows += make_points([0.9], 0.0, method=method)
        for ber in (1e-6, 1e-5):
            rows += make_points([share] * 2, ber, method=method)
    (sheet,) = sheets(costs(to_frame(rows)), Order())
    assert {(s.bound, s.y) for s in sheet.spots} == {(1, 1e-5), (-1, 1e-6)}
    with mpl.rc_context(SETTINGS):
        figure = draw_sheet(sheet, "top1")
    said = " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    assert "Arrow up" in said
    assert "Arrow down" in said
    arrows = [text for text in figure.axes[0].texts if not text.get_text()]
    assert sorted(np.sign(arrow.xyann[1]) for arrow in arrows) == [-1, 1]


def test_files_are_the_same_bytes_and_variants_have_their_own(
    make_rows: Make, tmp_path: Path
) -> None:
    table = costs(make_rows(nonfinite=["zero", "propagate"]))
    first, second = (draw_pareto(table, tmp_path / name, "top1") for name in "ab")
    assert [path.name for path in first] == [
        f"pareto_top1_nonfinite-{policy}.{ending}"
        for policy in ("propagate", "zero")
        for ending in ("png", "svg", "pdf")
    ]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_one_method_alone_or_rows_without_cost_give_no_figure(
    make_rows: Make, tmp_path: Path
) -> None:
    assert draw_pareto(costs(make_rows(protections=[("none", None)])), tmp_path, "top1") == []
    assert draw_pareto(costs(make_rows().assign(n_weights=np.nan)), tmp_path, "top1") == []

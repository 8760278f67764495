"""Figures: the same bytes each time, nothing clipped, no text on other text."""

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
from PIL import Image

from campaign.analysis.curves import curves
from campaign.analysis.figures import SETTINGS, draw_page, write_figures
from campaign.analysis.panels import pages
from campaign.analysis.styles import line_styles

Make = Callable[..., Any]
FEW = [("none", None), ("saf", None), ("weight_scaling", 2.0**127)]
SIX = [("none", None), ("saf", None), *(("weight_scaling", 2.0**k) for k in (1, 64, 120, 127))]
MANY = [
    *SIX,
    *(("weight_scaling", 2.0**k) for k in (20, 40, 80)),
    ("weight_scaling(per=channel,power_of_two=True)+saf(function=softsign)+range_clamp", 2.0),
    *((name, None) for name in ("secded", "parity", "tmr", "range_clamp")),
]
CASES: dict[str, dict[str, Any]] = {
    "one panel": {"protections": FEW},
    "three panels of six lines": {"dtypes": ["fp16", "fp32", "q2_5"], "protections": SIX},
    "four models by three dtypes": {
        "models": ["resnet20", "resnet56", "mobilenetv2_x1_0", "vgg16_bn"],
        "dtypes": ["fp16", "fp32", "q2_5"],
        "protections": SIX,
    },
    "fourteen lines": {"protections": MANY},
    "one BER": {"protections": SIX, "bers": (0.0, 1e-5)},
    "one seed": {"protections": FEW, "seeds": 1},
    "no clean trial": {"protections": FEW, "bers": (1e-6, 1e-5)},
    "variants": {"protections": FEW, "nonfinite": ["propagate", "zero"], "models": ["a", "b"]},
}


def drawn(points: pd.DataFrame) -> list[Any]:
    made = pages(points, "top1")
    lines = [
        line.protection
        for page in made
        for row in page.panels
        for panel in row
        if panel
        for line in panel.lines
    ]
    with mpl.rc_context(SETTINGS):
        figures = [draw_page(page, "top1", "bounded", line_styles(lines)) for page in made]
        for figure in figures:
            FigureCanvasAgg(figure).draw()
    return figures


def texts(figure: Any) -> list[tuple[str, Any]]:
    shown = [
        text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()
    ]
    ticks = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not label.get_visible()
    }
    return [(text.get_text(), text.get_window_extent()) for text in shown if text not in ticks]


@pytest.mark.parametrize("case", CASES)
def test_every_text_is_whole_and_on_no_other(make_rows: Make, case: str) -> None:
    for figure in drawn(curves(make_rows(**CASES[case]))):
        width, height = figure.get_size_inches() * figure.dpi
        found = texts(figure)
        assert any(text == "bit error rate" for text, _ in found)
        for text, box in found:
            assert box.x0 >= 0, text
            assert box.y0 >= 0, text
            assert box.x1 <= width, text
            assert box.y1 <= height, text
        for (one, box), (other, place) in itertools.combinations(found, 2):
            across = min(box.x1, place.x1) - max(box.x0, place.x0)
            up = min(box.y1, place.y1) - max(box.y0, place.y0)
            assert across <= 1 or up <= 0.25 * min(box.height, place.height), (one, other)


@pytest.mark.parametrize("case", ["three panels of six lines", "fourteen lines", "one BER"])
def test_every_protection_is_named_in_the_figure(make_rows: Make, case: str) -> None:
    (figure,) = drawn(curves(make_rows(**CASES[case])))
    said = "".join(text for text, _ in texts(figure)).replace("\n", "")
    for method, _ in CASES[case]["protections"]:
        assert method in said


def test_lines_go_through_the_means_and_bands_through_the_intervals(make_rows: Make) -> None:
    points = curves(make_rows(protections=[("none", None)]))
    (figure,) = drawn(points)
    shown = points[points["ber"] > 0]
    lines = [line.get_xydata() for line in figure.axes[0].get_lines()]
    for column in ("top1_mean", "top1_low", "top1_high"):
        expected = shown[["ber", column]].to_numpy()
        assert any(x.shape == expected.shape and np.allclose(x, expected) for x in lines), column
    assert figure.axes[0].get_xscale() == "log"


def test_panels_share_their_axes(make_rows: Make) -> None:
    (figure,) = drawn(curves(make_rows(models=["a", "b"], dtypes=["fp16", "fp32"])))
    limits = {(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}
    assert len(figure.axes) == 4
    assert len(limits) == 1


def test_points_without_results_are_marked_and_told(make_rows: Make) -> None:
    rows = make_rows(protections=FEW)
    lost = (rows["ber"] == 1e-5) & (rows["method"] == "saf") | (rows["trial_id"].str.endswith("-4"))
    rows.loc[lost, ["status", "n_correct"]] = ["error", np.nan]
    (figure,) = drawn(curves(rows))
    said = [text for text, _ in texts(figure)]
    count = int(lost.sum())
    marks = "hollow: some failed; x: all failed."
    assert any(f"{count} failed trials left out; {marks}" in text for text in said)
    crosses = [line for line in figure.axes[0].get_lines() if line.get_marker() == "x"]
    assert [x for line in crosses for x in line.get_xdata()] == [1e-5]
    hollow = [each for each in figure.axes[0].get_lines() if each.get_markerfacecolor() == "white"]
    share = lost.groupby([rows["method"], rows["ber"]]).mean()
    partial = [ber for (_, ber), part in share.items() if 0 < part < 1 and ber]
    assert sorted(x for line in hollow for x in line.get_xdata()) == sorted(partial)


def test_a_campaign_of_failures_alone_still_has_a_figure(make_rows: Make, tmp_path: Path) -> None:
    rows = make_rows().assign(status="error", n_correct=np.nan)
    assert len(write_figures(rows, tmp_path)) == 3


def test_accuracies_close_to_each_other_get_a_closer_axis(
    make_points: Make, to_frame: Make
) -> None:
    rows = make_points([0.92], 0.0)
    for ber in (1e-7, 1e-6):
        rows += make_points(np.full(400, 0.919), ber)
    low, high = drawn(curves(to_frame(rows)))[0].axes[0].get_ylim()
    assert 0.85 < low < 0.92 < high < 0.95


def test_files_are_the_same_bytes_whatever_the_order_of_rows(
    make_rows: Make, tmp_path: Path
) -> None:
    rows = make_rows(protections=SIX)
    first = write_figures(rows, tmp_path / "a")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        second = write_figures(rows.sample(frac=1, random_state=2), tmp_path / "b")
        assert mpl.rcParams["font.size"] == 30
    assert [path.name for path in first] == [f"accuracy_top1.{e}" for e in ("png", "svg", "pdf")]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_sizes_are_those_of_a_column_and_of_a_page(make_rows: Make, tmp_path: Path) -> None:
    narrow, *_ = write_figures(make_rows(), tmp_path / "a")
    wide, *_ = write_figures(make_rows(dtypes=["fp16", "fp32"]), tmp_path / "b", "top5")
    assert wide.name == "accuracy_top5.png"
    for path, width in ((narrow, 700), (wide, 1432)):
        with Image.open(path) as image:
            assert image.width == width


def test_the_fault_free_trial_alone_writes_nothing(make_rows: Make, tmp_path: Path) -> None:
    assert write_figures(make_rows(bers=(0.0,)), tmp_path) == []

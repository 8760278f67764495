"""Curves as text."""

import re

import numpy as np

from campaign.analysis.picture import Progress, key, picture
from campaign.analysis.terminal import sparkline

BERS = [0.0, *np.logspace(-9, -2, 43).tolist()]


def curves(bers: list[float] = BERS) -> list[Progress]:
    methods = ["none", "weight_scaling · t=2^120", "saf(function=scaled_tanh)+range_clamp+parity"]
    return [
        Progress(
            f"resnet18 · {dtype} · {method} · nonfinite=zero",
            [(ber, 0.92 / (1 + (ber * 10 ** (6 - place)))) for ber in bers],
            f"{place}/21",
        )
        for dtype in ("fp32", "fp16")
        for place, method in enumerate(methods)
    ]


def test_every_line_fits_and_every_curve_has_its_numbers() -> None:
    for width in (60, 80):
        for plain in (True, False):
            lines = picture(curves(), width=width, plain=plain)
            assert max(map(len, lines)) <= width
            rows = [line for line in lines if re.search(r"\d/21$", line)]
            assert [row.split()[-1] for row in rows] == ["0/21", "1/21", "2/21"] * 2
            assert all("92.0" in row for row in rows)
    assert sum("nonfinite=zero" in line for line in lines) == 2


def test_numbers_stand_under_their_rates() -> None:
    lines = picture(curves([0.0, 1e-6, 1e-4]))
    head, row = lines[0], lines[1]
    for ber, share in (("0", 0.92), ("1e-6", 0.92 / 2), ("1e-4", 0.92 / 101)):
        text = f"{100 * share:.1f}"
        assert row.index(text) + len(text) == re.search(rf"(?<!\S){ber}(?!\S)", head).end()  # type: ignore[union-attr]
    assert sparkline([0.92, 0.46, 0.92 / 101]) in row


def test_what_is_not_known_yet_is_blank() -> None:
    made = picture(
        [
            Progress("net · fp32 · none", [(0.0, 1.0), (1e-3, 0.5)], "2/3"),
            Progress("net · fp32 · saf", [(1e-3, 1.0)], "1/3"),
            Progress("net · int8 · none", [], "0/3"),
        ],
        plain=True,
    )
    assert made[2].split() == ["saf", "@", "-", "100.0", "1/3"]
    assert made[-1].split() == ["none", "0/3"]
    assert picture([]) == []
    assert key(plain=True).isascii()

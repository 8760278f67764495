"""Names and numbers as people read them."""

import math

import pytest
from matplotlib.mathtext import MathTextParser

from campaign.analysis.labels import curve_key, method_label, percent, power
from campaign.text import rate_text, t_text

ROW = {
    "model": "resnet20",
    "dtype": "fp32",
    "method": "weight_scaling",
    "t": 2.0,
    "nonfinite": "propagate",
    "fault": "bit_flip",
    "targets": "weights",
}


def test_a_curve_is_named_by_what_is_not_usual() -> None:
    assert curve_key(ROW) == "resnet20 · fp32 · weight_scaling · t=2"
    assert curve_key(ROW | {"t": math.nan, "method": "none"}) == "resnet20 · fp32 · none"
    unusual = ROW | {"t": None, "fault": "burst", "targets": "weights+biases"}
    assert curve_key(unusual).endswith("weight_scaling · fault=burst · targets=weights+biases")


@pytest.mark.parametrize("exponent", range(-12, 0))
def test_half_decades_are_told_apart_and_keep_their_value(exponent: int) -> None:
    low, high = rate_text(10.0**exponent), rate_text(10 ** (exponent + 0.5))
    assert low == f"1e{exponent}"
    assert float(high) == pytest.approx(10 ** (exponent + 0.5), rel=0.02)


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (0.5, "0.5"),
        (3.96875, "3.96875"),
        (448.0, "448"),
        (1024.0, "2^10"),
        (2.0**127, "2^127"),
        (3.4028235e38, "3.4e38"),
        (2.0**-20, "2^-20"),
    ],
)
def test_targets_are_short_and_large_powers_of_two_are_powers(t: float, text: str) -> None:
    assert t_text(t) == text
    base, _, exponent = text.partition("^")
    assert float(base) ** float(exponent or 1) == pytest.approx(t, rel=0.01)
    assert method_label("m", t) == f"m · t={text}"


@pytest.mark.parametrize("text", ["2", "1e-6", "3.2e-5", "2^127", "2^-20", "3.4e38"])
def test_powers_are_mathematics(text: str) -> None:
    MathTextParser("path").parse(f"${power(text)}$")
    assert "e" not in power(text).replace("times", "")


def test_percent_of_nothing_is_a_dash() -> None:
    assert (percent(0.12345, 2), percent(math.nan)) == ("12.35", "-")

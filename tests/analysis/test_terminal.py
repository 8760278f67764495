"""One-line curves."""

import math

import numpy as np
import pytest

from campaign.analysis.terminal import sparkline


@pytest.mark.parametrize("plain", [True, False])
def test_more_is_never_lower_and_every_level_is_used(plain: bool) -> None:
    scale = sparkline([k / 8 for k in range(8)], plain=plain)
    assert len(set(scale)) == 8
    levels = [scale.index(sign) for sign in sparkline(np.linspace(0, 1, 100).tolist(), plain=plain)]
    assert levels == sorted(levels)
    assert levels[0] == 0
    assert levels[-1] == 7


def test_plain_is_ascii_and_missing_is_blank() -> None:
    assert sparkline([1.0, math.nan, 0.0], plain=True).isascii()
    assert sparkline([1.0, math.nan, 0.0]) == "█ ▁"
    assert sparkline([]) == ""


def test_values_beyond_the_limits_are_cut_off() -> None:
    assert sparkline([-5.0, 20.0, math.inf], low=0, high=10) == "▁██"


def test_limits_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="got low 1, high 1; allowed: low < high"):
        sparkline([0.5], low=1.0, high=1.0)

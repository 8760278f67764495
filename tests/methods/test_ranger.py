"""Ranger, against a loop over Python floats."""

from __future__ import annotations

import math

import pytest
import torch

from campaign.methods import METHODS
from campaign.networks.sites import Site
from campaign.registry import OptionError

RELU = Site("activation", 2, "block.relu", "relu")
SEEN = {"low2": torch.tensor(-0.17), "up2": torch.tensor(2.5)}
VALUES = [[-0.2, -0.17, -0.0, 0.0], [2.5, 2.6, 3e38, 1.0], [math.inf, -math.inf, math.nan, -1.0]]


def repaired(value: float, out_of_range: str) -> float:
    low, up = SEEN["low2"].item(), SEEN["up2"].item()
    if math.isnan(value) or low <= value <= up:
        return value
    return 0.0 if out_of_range == "zero" else (up if value > up else low)


@pytest.mark.parametrize("out_of_range", ["saturate", "zero"])
def test_each_value_is_repaired_by_the_rule(out_of_range: str) -> None:
    method, value = METHODS.make("ranger", {"out_of_range": out_of_range}), torch.tensor(VALUES)
    rows = [[repaired(v, out_of_range) for v in row] for row in value.tolist()]
    found, expected = method.guard(RELU, value, SEEN), torch.tensor(rows)
    assert torch.equal(found.nan_to_num(nan=77.0), expected.nan_to_num(nan=77.0))
    assert torch.equal(found.signbit(), expected.signbit())  # -0 stays -0


@pytest.mark.parametrize(
    "site",
    [Site("layer", 2, "block.conv", "conv2d"), Site("activation", 3, "other", "relu")],
)
def test_a_site_without_a_range_is_left_alone(site: Site) -> None:
    value = torch.tensor([math.inf])
    assert METHODS.make("ranger").guard(site, value, SEEN) is value


def test_two_comparisons_a_value_of_activations() -> None:
    method = METHODS.make("ranger")
    assert method.guard_operations(RELU, 100) == 200
    assert method.guard_operations(Site("layer", 2, "", "linear"), 100) == 0


@pytest.mark.parametrize("percentile", [0, -1, 100.1, math.nan])
def test_a_percentile_is_above_0_and_at_most_100(percentile: float) -> None:
    with pytest.raises(OptionError, match="percentile: "):
        METHODS.make("ranger", {"percentile": percentile})

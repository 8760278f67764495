"""The clipped ReLU, against PyTorch's ReLU6."""

from __future__ import annotations

import math

import pytest
import torch

from campaign.methods import METHODS
from campaign.networks.sites import Site
from campaign.registry import OptionError

RELU, LAYER = Site("activation", 0, "relu", "relu"), Site("layer", 0, "conv", "conv2d")
ANY = torch.tensor([-3.0, -0.0, 0.0, 5.9, 6.0, 6.1, 3e38, math.inf, -math.inf])


def test_behind_a_relu_the_default_is_relu6() -> None:
    found = METHODS.make("clipped_relu").guard(RELU, torch.relu(ANY), {})
    assert torch.equal(found, torch.nn.functional.relu6(ANY))


def test_only_values_above_the_bound_change() -> None:
    found = METHODS.make("clipped_relu", {"bound": 5.95}).guard(RELU, ANY, {})
    expected = torch.tensor([min(v, 5.95) for v in ANY.tolist()])
    assert torch.equal(found.view(torch.int32), expected.view(torch.int32))


def test_nan_passes_and_layers_are_left_alone() -> None:
    method, value = METHODS.make("clipped_relu"), torch.tensor([math.nan])
    assert method.guard(RELU, value, {}).isnan().all()
    assert method.guard(LAYER, ANY, {}) is ANY


def test_one_comparison_a_value_of_activations_and_no_profile() -> None:
    method = METHODS.make("clipped_relu")
    assert (method.guard_operations(RELU, 9), method.guard_operations(LAYER, 9)) == (9, 0)
    assert not method.observes


@pytest.mark.parametrize("bound", [0, -6, math.inf, math.nan])
def test_a_bound_is_a_finite_number_above_0(bound: float) -> None:
    with pytest.raises(OptionError, match="bound: "):
        METHODS.make("clipped_relu", {"bound": bound})

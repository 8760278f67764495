"""FT-ClipAct at a site, against a loop over Python floats; its search has a test of its own."""

from __future__ import annotations

import math

import pytest
import torch

from campaign.methods import METHODS
from campaign.networks.sites import Site
from campaign.registry import OptionError

RELU = Site("activation", 11, "block.relu", "relu")
SEEN = {"11": torch.tensor(2.5)}


def test_magnitudes_above_the_threshold_are_zero() -> None:
    values = [0.0, -0.0, 2.5, -2.5, 2.6, -2.6, -0.1, 3e38, math.inf, -math.inf, 1e-45]
    found = METHODS.make("ft_clipact").guard(RELU, torch.tensor(values), SEEN)
    expected = torch.tensor([0.0 if abs(v) > 2.5 else v for v in values])
    assert torch.equal(found.view(torch.int32), expected.view(torch.int32))


def test_nan_passes() -> None:
    assert METHODS.make("ft_clipact").guard(RELU, torch.tensor([math.nan]), SEEN).isnan().all()


@pytest.mark.parametrize(
    "site",
    [Site("layer", 11, "block.conv", "conv2d"), Site("activation", 1, "other", "relu")],
)
def test_a_site_without_a_threshold_is_left_alone(site: Site) -> None:
    value = torch.tensor([math.inf])
    assert METHODS.make("ft_clipact").guard(site, value, SEEN) is value


def test_one_comparison_a_value_of_activations() -> None:
    method = METHODS.make("ft_clipact")
    assert method.guard_operations(RELU, 100) == 100
    assert method.guard_operations(Site("layer", 2, "", "linear"), 100) == 0


@pytest.mark.parametrize(
    "options", [{"rates": []}, {"rates": [0.0]}, {"iterations": 0}, {"injections": 0}]
)
def test_a_search_without_trials_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=rf"{next(iter(options))}.*: got "):
        METHODS.make("ft_clipact", options)


def test_rates_may_be_written_as_a_list() -> None:
    method = METHODS.make("ft_clipact", {"rates": [1e-5, 1e-4]})
    assert method.label == "ft_clipact(rates=(1e-05, 0.0001))"

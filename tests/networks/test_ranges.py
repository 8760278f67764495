"""Ranges and percentiles of activations, against sorting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from campaign.networks.ranges import Run, activation_percentiles, activation_ranges
from campaign.networks.sites import Site, Visit

RELU, GELU = Site("activation", 0, "a", "relu"), Site("activation", 7, "b", "gelu")
LAYER = Site("layer", 0, "c", "linear")
PERCENTILES = [1e-6, 0.1, 12.5, 50, 99, 99.9, 99.99, 100]


def passing(*batches: tuple[Site, Tensor]) -> Run:
    """A network in which these values pass."""

    def run(visit: Visit) -> None:
        for site, value in batches:
            before = value.clone()
            assert visit(site, value) is value
            assert torch.equal(value.view(torch.int32), before.view(torch.int32))

    return run


def sorted_percentile(values: Sequence[float], percentile: float) -> float:
    """The first of the sorted values that enough values do not exceed."""
    for place, value in enumerate(sorted(values), 1):
        if Fraction(place, len(values)) * 100 >= Fraction(str(percentile)):
            return value
    raise AssertionError


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


VALUES = {
    "gaussian": gaussian(10, 10, 10),
    "one": torch.tensor([0.25]),
    "equal": torch.full((6,), -1.5),
    "many zeros": gaussian(40, 25, seed=1).relu(),
    "of all sizes": gaussian(1000, seed=2) * torch.logspace(-44, 38, 1000),
    "near": torch.nextafter(torch.ones(999), torch.tensor(2.0)) + gaussian(999) * 1e-7,
    "infinite": torch.tensor([math.inf, -math.inf, 1.0, -0.0, 0.0, -1e-45, 1e-45]),
}


@pytest.mark.parametrize("percentile", PERCENTILES)
@pytest.mark.parametrize("values", VALUES)
def test_a_percentile_is_that_of_the_sorted_values(values: str, percentile: float) -> None:
    value = VALUES[values]
    found = activation_percentiles(passing((RELU, value)), percentile)
    assert list(found) == [0]
    assert (found[0].dtype, found[0].shape) == (torch.float32, ())
    assert float(found[0]) == sorted_percentile(value.reshape(-1).tolist(), percentile)


def test_how_images_are_batched_does_not_matter() -> None:
    value = gaussian(60, 4, 3)
    whole = passing((RELU, value))
    parts = passing(*((RELU, part) for part in value.split([1, 20, 39])))
    for percentile in PERCENTILES:
        first, second = (activation_percentiles(run, percentile)[0] for run in (whole, parts))
        assert torch.equal(first, second)
    assert activation_ranges(whole)[0] == activation_ranges(parts)[0]


def test_each_activation_has_its_own_range_and_layers_have_none() -> None:
    run = passing((RELU, gaussian(9)), (LAYER, gaussian(9) * 9), (GELU, gaussian(5) - 3))
    ranges, medians = activation_ranges(run), activation_percentiles(run, 50)
    assert set(ranges) == set(medians) == {0, 7}
    for place, value in ((0, gaussian(9)), (7, gaussian(5) - 3)):
        assert ranges[place].low.item() == min(value.tolist())
        assert ranges[place].up.item() == max(value.tolist())
        assert ranges[place].reach.item() == max(abs(v) for v in value.tolist())
        assert medians[place].item() == sorted(value.tolist())[len(value) // 2]


def test_a_transposed_value_is_seen_whole() -> None:
    value = gaussian(6, 8).t()
    found = activation_percentiles(passing((RELU, value)), 70)
    assert found[0].item() == sorted_percentile(value.reshape(-1).tolist(), 70)


def test_nan_makes_a_range_nan() -> None:
    seen = activation_ranges(passing((RELU, torch.tensor([math.nan, 1.0])), (RELU, torch.ones(2))))
    assert seen[0].low.isnan()
    assert seen[0].up.isnan()

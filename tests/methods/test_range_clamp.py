"""The range check on read, against a loop over Python floats."""

from __future__ import annotations

import math

import pytest
import torch

from campaign.formats import FORMATS
from campaign.methods import METHODS, Method

READ = [[0.5, -0.9, 0.0, 1e30], [math.inf, -math.inf, math.nan, -0.2]]


def clamp(out_of_range: str = "clamp", per: str = "tensor") -> Method:
    """The method with its options."""
    return METHODS.make("range_clamp", {"out_of_range": out_of_range, "per": per})


def repaired(value: float, largest: float, out_of_range: str) -> float:
    """The rule for one weight."""
    if math.isnan(value):
        return 0.0
    if abs(value) <= largest:
        return value
    return 0.0 if out_of_range == "zero" else math.copysign(largest, value)


@pytest.mark.parametrize("out_of_range", ["clamp", "zero"])
@pytest.mark.parametrize("per", ["tensor", "row"])
def test_each_weight_is_repaired_by_the_rule(out_of_range: str, per: str) -> None:
    method = clamp(out_of_range, per)
    state = method.profile(torch.tensor([[0.5, -0.25, 0.0, 0.1], [0.3, 0.2, -0.75, 0.0]]), {})
    limits = [0.5, 0.75] if per == "row" else [0.75, 0.75]
    expected = [
        [repaired(float(torch.tensor(v)), limit, out_of_range) for v in row]
        for row, limit in zip(READ, limits, strict=True)
    ]
    read = method.restore(torch.tensor(READ), state)
    assert read.tolist() == torch.tensor(expected).tolist()


@pytest.mark.parametrize("out_of_range", ["clamp", "zero"])
@pytest.mark.parametrize("count", [1, 7, 64])
def test_nan_becomes_zero_wherever_it_stands(out_of_range: str, count: int) -> None:
    method = clamp(out_of_range)
    state = method.profile(torch.tensor([0.5]), {})
    assert method.restore(torch.full((count,), math.nan), state).tolist() == [0.0] * count


@pytest.mark.parametrize("out_of_range", ["clamp", "zero"])
def test_the_ends_of_the_range_belong_to_it(out_of_range: str) -> None:
    method, value = clamp(out_of_range), torch.tensor([0.1, -0.7, 0.7])
    assert torch.equal(method.restore(value, method.profile(value, {})), value)


def test_the_range_is_that_of_the_stored_weights_not_of_the_trained_ones() -> None:
    fmt = FORMATS.make("q2_5")
    trained = torch.tensor([0.3, -0.49])  # -0.49 is stored as -0.5
    stored = fmt.decode(fmt.encode(trained, None), None)
    for out_of_range in ("clamp", "zero"):
        method = clamp(out_of_range)
        assert torch.equal(method.restore(stored, method.profile(stored, {})), stored)
        wrong = method.restore(stored, method.profile(trained, {}))
        assert not torch.equal(wrong, stored)  # why the range is not taken before storing


def test_a_range_per_row_has_one_constant_for_each_output_channel() -> None:
    value = torch.randn((4, 3, 2, 2), generator=torch.Generator().manual_seed(0))
    state = clamp(per="row").profile(value, {})
    assert state["largest"].shape == (4, 1, 1, 1)
    rows = [max(abs(v) for v in row) for row in value.reshape(4, -1).tolist()]
    assert state["largest"].reshape(-1).tolist() == rows


def test_a_row_of_zeros_reads_as_zeros_whatever_the_faults() -> None:
    method = clamp(per="row")
    state = method.profile(torch.tensor([[0.0, 0.0], [1.0, 2.0]]), {})
    read = method.restore(torch.tensor([[1e30, -3.0], [1.5, 9.0]]), state)
    assert read.tolist() == [[0.0, 0.0], [1.5, 2.0]]


def test_profiling_adds_to_the_constants_that_are_there() -> None:
    state = clamp().profile(torch.tensor([0.5]), {"c": torch.tensor(2.0)})
    assert set(state) == {"c", "largest"}


def test_without_a_profile_nothing_is_repaired() -> None:
    value = torch.tensor([math.inf, 1.0])
    assert torch.equal(clamp().restore(value, {}), value)

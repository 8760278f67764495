"""Clipping at a fixed bound, against a loop over Python floats."""

from __future__ import annotations

import math

import pytest
import torch

from campaign.formats import FORMATS
from campaign.methods import METHODS, Method
from campaign.registry import OptionError
from campaign.trial.memory import Storage, read, write


def clipping(bound: float = 0.1, out_of_range: str = "clamp") -> Method:
    return METHODS.make("weight_clipping", {"bound": bound, "out_of_range": out_of_range})


def float32(value: float) -> float:
    return float(torch.tensor(value))


def repaired(value: float, bound: float, out_of_range: str) -> float:
    """The rule for one weight."""
    if math.isnan(value):
        return 0.0
    if abs(value) <= bound:
        return value
    return 0.0 if out_of_range == "zero" else math.copysign(bound, value)


@pytest.mark.parametrize("bound", [0.05, 0.1, 0.25])
def test_weights_are_stored_within_the_bound(bound: float) -> None:
    weight = torch.randn(500, generator=torch.Generator().manual_seed(0)) * 0.2
    stored, _ = clipping(bound).transform(weight)
    assert stored.tolist() == [repaired(w, float32(bound), "clamp") for w in weight.tolist()]


@pytest.mark.parametrize("out_of_range", ["clamp", "zero"])
def test_each_weight_read_is_repaired_by_the_rule(out_of_range: str) -> None:
    method = clipping(0.1, out_of_range)
    state = method.profile(torch.tensor([0.05, -0.02]), {})
    values = [0.05, -0.07, 0.1, -0.1, 0.11, -1e30, math.inf, -math.inf, math.nan, 0.0]
    expected = [repaired(float32(v), float32(0.1), out_of_range) for v in values]
    assert method.restore(torch.tensor(values), state).tolist() == expected


@pytest.mark.parametrize("out_of_range", ["clamp", "zero"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp8_e5m2", "q2_5", "int8", "mxfp4"])
def test_a_weight_that_is_rounded_beyond_the_bound_is_kept(dtype: str, out_of_range: str) -> None:
    method = clipping(0.11, out_of_range)  # q2_5 rounds it to 0.125
    storage = Storage(FORMATS.make(dtype), (method,))
    held = write("w", torch.linspace(-0.5, 0.5, 100), storage)
    assert torch.equal(read(held, held.fields, storage).weight, held.clean)
    bare = write("w", torch.linspace(-0.5, 0.5, 100).clamp(-0.11, 0.11), Storage(storage.dtype))
    assert torch.equal(bare.clean, held.clean)
    if dtype == "q2_5":
        assert float(held.clean.max()) == 0.125


def test_the_range_does_not_shrink_to_small_weights() -> None:
    state = clipping(0.1).profile(torch.tensor([0.01]), {})
    assert float(state["largest"]) == float32(0.1)
    assert state["largest"].shape == ()


def test_int8_spreads_its_codes_over_the_clipped_range() -> None:
    storage = Storage(FORMATS.make("int8"), (clipping(0.1),))
    held = write("w", torch.tensor([4.0, 0.03, -0.1]), storage)
    assert held.scale is not None
    assert float(held.scale) == pytest.approx(0.1 / 127, rel=1e-6)


@pytest.mark.parametrize("bound", [0, -0.1, math.inf, math.nan])
def test_a_bound_that_is_none_is_refused(bound: float) -> None:
    with pytest.raises(OptionError, match="bound"):
        clipping(bound)

"""Saturated functions by numpy, against torch in float64: the same float32, bit by bit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from campaign.methods.saturation import SATURATIONS

STRIDE = 4093
ONE = torch.ones((), dtype=torch.float64)
SCALES = [0.0071, 0.3, 40.123]
APPLIED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "arctan": torch.atan,
    "softsign": lambda x: torch.where(x.isinf(), x.sign(), x / (1 + x.abs())),
    "hardtanh": lambda x: x.clamp(-1, 1),
    "scaled_tanh": torch.tanh,
}
INVERTED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.atanh,
    "arctan": torch.tan,
    "softsign": lambda y: y / (1 - y.abs()),
    "hardtanh": lambda y: y,
    "scaled_tanh": torch.atanh,
}


def codes(below: int) -> torch.Tensor:
    """float32 values of both signs whose codes lie `STRIDE` apart, and the edges."""
    edges = torch.tensor([1, 2, 0x007FFFFF, 0x00800000, below - 1])
    sizes = torch.cat([torch.arange(0, below, STRIDE), edges])
    return torch.cat([sizes, sizes - (1 << 31)]).to(torch.int32).view(torch.float32)


def agree(got: torch.Tensor, expected: torch.Tensor) -> bool:
    """Equal to the bit, where a NaN is a NaN."""
    numbers = ~expected.isnan()
    bits = [each[numbers].view(torch.int32) for each in (got, expected)]
    return torch.equal(got.isnan(), expected.isnan()) and torch.equal(*bits)


@pytest.mark.parametrize("function", SATURATIONS)
def test_float32_values_are_read_and_stored_as_torch_computes_them(function: str) -> None:
    tau = SATURATIONS[function]
    value = torch.cat([codes(1 << 31), torch.tensor([math.inf, -math.inf])])
    some = torch.arange(1, len(value), 12347)
    for scale in SCALES if function == "scaled_tanh" else [1.0]:
        a = ONE * scale
        read = tau.applied(value, a)
        assert agree(read, (APPLIED[function](value.double() / scale) * scale).to(torch.float32))
        apart = tau.applied(value[some], a)
        assert torch.equal(apart.view(torch.int32), read[some].view(torch.int32))

        bound = np.float32(tau.bound * scale)
        below = bound if float(bound) < tau.bound * scale else np.nextafter(bound, np.float32(0))
        weight = codes(int(below.view(np.int32)) + 1)
        stored = (INVERTED[function](weight.double() / scale) * scale).to(torch.float32)
        assert agree(tau.inverted(weight, a), stored)


def test_a_scaled_result_half_way_between_two_float32_is_rounded_to_even() -> None:
    for a in (1 + 2.0**-24, 1 + 3 * 2.0**-24):
        read = SATURATIONS["scaled_tanh"].applied(torch.full((5,), 100.0), ONE * a)
        assert read.tolist() == [float(np.float32(a))] * 5


def test_gradients_pass_and_see_the_same_values() -> None:
    value = torch.linspace(-3, 3, 100)
    for function, tau in SATURATIONS.items():
        learnt, again = value.clone().requires_grad_(), value.double().requires_grad_()
        read = tau.applied(learnt, ONE)
        read.sum().backward()
        APPLIED[function](again).sum().backward()
        assert agree(read.detach(), tau.applied(value, ONE))
        assert learnt.grad is not None
        assert again.grad is not None
        assert torch.allclose(learnt.grad, again.grad.float(), rtol=1e-6, atol=0)


def test_values_may_lie_apart_and_numpy_keeps_its_settings() -> None:
    before = np.getbufsize(), np.geterr()
    value = torch.randn(30, 40, generator=torch.Generator().manual_seed(0)).t()
    value[0, :3] = torch.tensor([math.nan, math.inf, 1e-45])
    for tau in SATURATIONS.values():
        read = tau.applied(value, ONE)
        assert read.shape == value.shape
        assert agree(read, tau.applied(value.contiguous(), ONE))
    assert (np.getbufsize(), np.geterr()) == before

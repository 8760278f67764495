"""Saturated activation functions, against Python's and scipy's own functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import special

from campaign.methods import METHODS, Method, State

BOUNDS = {"tanh": 1.0, "arctan": math.pi / 2, "softsign": 1.0, "hardtanh": 1.0}
FORWARD: dict[str, Callable[[float], float]] = {
    "tanh": math.tanh,
    "arctan": math.atan,
    "softsign": lambda x: x / (1 + abs(x)),
    "hardtanh": lambda x: min(1.0, max(-1.0, x)),
}
INVERSE: dict[str, Callable[[float], float]] = {
    "tanh": lambda y: 0.5 * (special.log1p(y) - special.log1p(-y)),
    "arctan": math.tan,
    "softsign": lambda y: y / (1 - abs(y)),
    "hardtanh": lambda y: y,
}
SMOOTH = ["tanh", "arctan", "softsign"]


def saf(function: str, store: str = "inverse", **options: float) -> Method:
    """The method with its options."""
    return METHODS.make("saf", {"function": function, "store": store, **options})


def spread(bound: float) -> torch.Tensor:
    """Weights from the smallest to just below the bound, of both signs."""
    sizes = np.concatenate([np.geomspace(1e-30, 0.9, 200), 1 - np.geomspace(1e-6, 0.1, 50)])
    values = (np.concatenate([-sizes, [0.0], sizes]) * bound).astype(np.float32)
    return torch.from_numpy(values)


def ulps(got: torch.Tensor, expected: np.ndarray) -> float:
    """The largest difference in units of the last float32 place."""
    exact = expected.astype(np.float32)
    return float((np.abs(got.numpy() - exact) / np.spacing(np.abs(exact))).max())


def state_of(method: Method, weight: torch.Tensor) -> State:
    """The constants that go with `weight`."""
    return method.transform(weight)[1]


@pytest.mark.parametrize("function", BOUNDS)
def test_raw_weights_are_stored_as_they_are_and_read_through_tau(function: str) -> None:
    method, weight = saf(function, "raw"), spread(1.0) * 20
    value, state = method.transform(weight)
    assert torch.equal(value, weight)
    expected = np.array([FORWARD[function](x) for x in weight.tolist()])
    assert ulps(method.restore(value, state), expected) <= 1


@pytest.mark.parametrize("function", BOUNDS)
def test_the_inverse_is_stored(function: str) -> None:
    weight = spread(BOUNDS[function] if function != "arctan" else 1.5)
    value, _ = saf(function).transform(weight)
    expected = np.array([INVERSE[function](y) for y in weight.tolist()])
    assert ulps(value, expected) <= 1


@pytest.mark.parametrize("function", BOUNDS)
def test_a_stored_inverse_reads_as_the_weight(function: str) -> None:
    weight = spread(BOUNDS[function] if function != "arctan" else 1.57)
    method = saf(function)
    value, state = method.transform(weight)
    assert ulps(method.restore(value, state), weight.numpy()) <= 2


@pytest.mark.parametrize("function", BOUNDS)
@pytest.mark.parametrize("store", ["inverse", "raw"])
def test_infinity_reads_as_the_bound_and_no_value_exceeds_it(function: str, store: str) -> None:
    method = saf(function, store)
    state = state_of(method, torch.tensor([0.5]))
    top = torch.finfo(torch.float32).max
    read = method.restore(torch.tensor([math.inf, -math.inf, top, -top]), state)
    bound = float(np.float32(BOUNDS[function]))
    assert read.tolist() == [bound, -bound, bound, -bound]


@pytest.mark.parametrize("function", [*BOUNDS, "scaled_tanh"])
@pytest.mark.parametrize("count", [1, 7, 64])
def test_nan_stays_nan(function: str, count: int) -> None:
    method = saf(function)
    state = state_of(method, torch.tensor([0.5]))
    assert bool(method.restore(torch.full((count,), math.nan), state).isnan().all())


@pytest.mark.parametrize("function", SMOOTH)
@pytest.mark.parametrize("excess", [1.0, 1.0000002, 3.0, math.inf])
def test_a_weight_at_the_bound_or_beyond_has_no_inverse(function: str, excess: float) -> None:
    largest = float(np.float32(BOUNDS[function] * excess))
    weight = torch.tensor([0.1, -largest])
    text = rf"saf {function}: max\|W\| = .* is not below the bound .*; use function: scaled_tanh"
    with pytest.raises(ValueError, match=text):
        saf(function).transform(weight)
    saf(function, "raw").transform(weight)


def test_hardtanh_keeps_a_weight_at_its_bound_but_none_beyond() -> None:
    method, edge = saf("hardtanh"), torch.tensor([1.0, -1.0, 0.3])
    value, state = method.transform(edge)
    assert torch.equal(method.restore(value, state), edge)
    with pytest.raises(ValueError, match="no inverse"):
        method.transform(torch.tensor([1.0000001]))


@pytest.mark.parametrize("scale", [1e-3, 0.5, 40.0])
def test_scaled_tanh_is_tied_to_the_largest_weight(scale: float) -> None:
    weight = spread(1.0) * scale
    method = saf("scaled_tanh")
    value, state = method.transform(weight)
    a = float(weight.abs().max()) * 1.1
    assert float(state["a"]) == a
    expected = np.array([a * INVERSE["tanh"](w / a) for w in weight.tolist()])
    assert ulps(value, expected) <= 1
    assert ulps(method.restore(value, state), weight.numpy()) <= 2
    bound = method.restore(torch.tensor([math.inf]), state)
    assert float(bound) == float(np.float32(a))


def test_scaled_tanh_takes_an_absolute_bound() -> None:
    method = saf("scaled_tanh", a=0.8)
    value, state = method.transform(torch.tensor([0.5]))
    assert float(value) == pytest.approx(0.8 * math.atanh(0.625), rel=1e-7)
    assert float(method.restore(value, state)) == pytest.approx(0.5, rel=1.2e-7)
    with pytest.raises(ValueError, match=r"max\|W\| = 2 is not .*; use a above 2, or store: raw"):
        method.transform(torch.tensor([2.0]))


def test_scaled_tanh_of_zeros_is_zeros() -> None:
    method = saf("scaled_tanh")
    value, state = method.transform(torch.zeros(2, 3))
    assert torch.equal(method.restore(value, state), torch.zeros(2, 3))


@pytest.mark.parametrize("function", BOUNDS)
def test_a_bound_belongs_to_scaled_tanh_alone(function: str) -> None:
    for option in ("a", "a_over_max"):
        with pytest.raises(ValueError, match=f"belong to scaled_tanh, not to {function}"):
            saf(function, **{option: 2.0})


@pytest.mark.parametrize(
    "option", [{"a": 0.0}, {"a": -1.0}, {"a_over_max": 1.0}, {"a_over_max": -2}]
)
def test_a_bound_below_the_weights_is_refused(option: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed: a > 0 and a_over_max > 1 with store: inverse"):
        saf("scaled_tanh", **option)


def test_raw_weights_may_exceed_the_bound() -> None:
    method = saf("scaled_tanh", "raw", a_over_max=0.5)
    value, state = method.transform(torch.tensor([2.0, -1.0]))
    assert float(state["a"]) == 1.0
    expected = np.array([math.tanh(2.0), -math.tanh(1.0)])
    assert ulps(method.restore(value, state), expected) <= 1
    with pytest.raises(ValueError, match="a_over_max > 0 with store: raw"):
        saf("scaled_tanh", "raw", a_over_max=0.0)


@pytest.mark.parametrize("function", [*BOUNDS, "scaled_tanh"])
@pytest.mark.parametrize("store", ["inverse", "raw"])
def test_tau_is_odd_and_rising(function: str, store: str) -> None:
    method, values = saf(function, store), spread(1.0).sort().values * 30
    state = state_of(method, torch.tensor([0.5]))
    read = method.restore(values, state)
    assert torch.equal(method.restore(-values, state), -read)
    assert bool((read.diff() >= 0).all())

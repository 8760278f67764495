"""Weight scaling, against its equations in numpy float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from campaign.formats import FORMATS
from campaign.methods import METHODS, Method


def scaling(t: float, *, per: str = "layer", power_of_two: bool = False) -> Method:
    """The method with its options."""
    return METHODS.make("weight_scaling", {"t": t, "per": per, "power_of_two": power_of_two})


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    """Gaussian weights."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def read_back(method: Method, weight: torch.Tensor, dtype: str) -> torch.Tensor:
    """Store and read without faults."""
    fmt = FORMATS.make(dtype)
    value, state = method.transform(weight)
    return method.restore(fmt.decode(fmt.encode(value, None), None), state)


@pytest.mark.parametrize("t", [0.5, 1.0, 3.96875, 256.0, 65504.0, 2.0**120, 2.0**127])
def test_what_is_stored_is_c_times_w_rounded_once(t: float) -> None:
    weight = weights(6, 5)
    value, state = scaling(t).transform(weight)
    exact = weight.numpy().astype(np.float64)
    c = t / np.abs(exact).max()
    assert float(state["c"]) == c
    np.testing.assert_array_equal(value.numpy(), (exact * c).astype(np.float32))
    assert float(value.abs().max()) == t


@pytest.mark.parametrize("t", [0.5, 3.96875, 2.0**127])
def test_what_is_read_is_divided_by_c_and_rounded_once(t: float) -> None:
    method = scaling(t)
    _, state = method.transform(weights(6, 5))
    value = weights(6, 5, seed=1) * t
    exact = value.numpy().astype(np.float64) / float(state["c"])
    np.testing.assert_array_equal(method.restore(value, state).numpy(), exact.astype(np.float32))


@pytest.mark.parametrize("largest", [1e-3, 1e-30, 1e-44])
@pytest.mark.parametrize("power_of_two", [False, True])
def test_c_beyond_float32_neither_overflows_nor_loses_weights(
    largest: float, power_of_two: bool
) -> None:
    weight = torch.tensor([largest, -largest / 2, largest / 4, 0.0])
    method = scaling(2.0**127, power_of_two=power_of_two)
    value, state = method.transform(weight)
    assert math.isfinite(float(state["c"]))
    assert float(state["c"]) > torch.finfo(torch.float32).max
    assert bool(value.isfinite().all())
    torch.testing.assert_close(method.restore(value, state), weight, rtol=2e-7, atol=0)


@pytest.mark.parametrize("t", [2.0**127, 1.99 * 2.0**127, torch.finfo(torch.float32).max])
def test_the_largest_fp32_value_can_be_the_target(t: float) -> None:
    for seed in range(50):
        weight = weights(20, seed=seed)
        value, _ = scaling(t).transform(weight)
        assert float(value.abs().max()) == float(np.float32(t))
        torch.testing.assert_close(read_back(scaling(t), weight, "fp32"), weight, rtol=3e-7, atol=0)


@pytest.mark.parametrize("t", [0.3, 1.0, 3.96875, 1000.0, 2.0**100, 2.0**127])
@pytest.mark.parametrize("per", ["layer", "channel"])
def test_a_power_of_two_is_exact_in_fp32(t: float, per: str) -> None:
    weight = weights(8, 4, 3, 3)
    method = scaling(t, per=per, power_of_two=True)
    assert torch.equal(read_back(method, weight, "fp32"), weight)


@pytest.mark.parametrize("t", [0.3, 1.0, 3.96875, 1000.0, 2.0**100, 2.0**127])
def test_a_power_of_two_is_the_largest_not_above_c(t: float) -> None:
    weight = weights(50)
    _, rounded = scaling(t, power_of_two=True).transform(weight)
    _, plain = scaling(t).transform(weight)
    c, mantissa = float(plain["c"]), math.frexp(float(rounded["c"]))[0]
    assert mantissa == 0.5
    assert float(rounded["c"]) <= c < 2 * float(rounded["c"])


@pytest.mark.parametrize(
    ("t", "largest", "c"), [(4.0, 0.5, 8.0), (49.0, 49.0, 1.0), (98.0, 49.0, 2.0)]
)
def test_a_power_of_two_stays_itself(t: float, largest: float, c: float) -> None:
    _, state = scaling(t, power_of_two=True).transform(torch.tensor([largest, 0.1]))
    assert float(state["c"]) == c


@pytest.mark.parametrize("t", [0.7, 3.96875, 1e4])
def test_an_arbitrary_c_costs_at_most_an_ulp_in_fp32(t: float) -> None:
    weight = weights(10_000)
    got, exact = read_back(scaling(t), weight, "fp32").numpy(), weight.numpy()
    assert bool((np.abs(got - exact) <= np.spacing(np.abs(exact))).all())


def test_one_constant_per_channel_fills_the_range_of_each() -> None:
    weight = weights(5, 4, 3, 3) * torch.tensor([1, 10, 0.1, 0, 1e-3]).reshape(5, 1, 1, 1)
    value, state = scaling(2.0, per="channel").transform(weight)
    assert state["c"].shape == (5, 1, 1, 1)
    rows = value.abs().amax((1, 2, 3))
    assert rows.tolist() == [2.0, 2.0, 2.0, 0.0, 2.0]
    exact = weight.numpy().astype(np.float64)
    largest = np.abs(exact).max(axis=(1, 2, 3))
    expected = np.divide(2.0, largest, out=np.ones(5), where=largest > 0)
    np.testing.assert_array_equal(state["c"].reshape(-1).numpy(), expected)


def test_a_vector_has_one_constant_whatever_the_option() -> None:
    _, state = scaling(2.0, per="channel").transform(weights(5))
    assert state["c"].shape == ()


@pytest.mark.parametrize("power_of_two", [False, True])
def test_zeros_are_left_alone(power_of_two: bool) -> None:
    method = scaling(2.0, power_of_two=power_of_two)
    value, state = method.transform(torch.zeros(3, 4))
    assert float(state["c"]) == 1.0
    assert torch.equal(value, torch.zeros(3, 4))


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "q2_5"])
def test_storing_the_negative_weights_reads_as_the_negative(dtype: str) -> None:
    weight = weights(200)
    method = scaling(3.0)
    assert torch.equal(read_back(method, -weight, dtype), -read_back(method, weight, dtype))


@pytest.mark.parametrize("t", [3.96875, 6.0, 8.0])
def test_fixed_point_clips_weights_beyond_the_range_over_t(t: float) -> None:
    weight = weights(2000)
    largest = float(weight.abs().max())
    got = read_back(scaling(t), weight, "q2_5")
    step = 2.0**-5 * largest / t
    ends = (-4.0 * largest / t, 3.96875 * largest / t)
    expected = weight.double().clamp(*ends)
    assert bool(((got - expected).abs() <= step / 2 * (1 + 1e-5)).all())
    assert float(got.max()) <= ends[1] * (1 + 1e-6)


def test_formats_with_a_calibrated_scale_are_refused() -> None:
    reason = scaling(1.0).refusal(FORMATS.make("int8", {"per": "channel"}))
    assert reason == (
        "int8(per=channel) fits a scale of its own to the weights, so t has no meaning"
    )


@pytest.mark.parametrize(("dtype", "t"), [("fp16", 65504.5), ("bf16", 3.4e38), ("fp32", 3.5e38)])
def test_a_target_that_a_float_cannot_hold_is_refused(dtype: str, t: float) -> None:
    fmt = FORMATS.make(dtype)
    assert (
        scaling(t).refusal(fmt) == f"t = {t:g} is above the largest {dtype} value {fmt.largest:g}"
    )
    assert fmt.largest is not None
    assert scaling(fmt.largest).refusal(fmt) is None


@pytest.mark.parametrize("dtype", ["q2_5", "q7_8"])
def test_fixed_point_takes_any_target(dtype: str) -> None:
    assert scaling(1e6).refusal(FORMATS.make(dtype)) is None

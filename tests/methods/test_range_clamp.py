"""The range check on read, against a loop over Python floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from campaign.formats import FORMATS
from campaign.methods import METHODS, Method
from campaign.registry import OptionError
from campaign.trial.memory import Storage, read, write

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


@pytest.mark.parametrize("percentile", [0.1, 25, 50, 90, 99.9, 100])
@pytest.mark.parametrize("per", ["tensor", "row"])
@pytest.mark.parametrize("shape", [(6, 50), (5, 4, 3, 3), (1, 1000), (1000,), (300, 300)])
def test_weights_above_the_percentile_are_clipped_to_it(
    percentile: float, per: str, shape: tuple[int, ...]
) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    method = METHODS.make("range_clamp", {"percentile": percentile, "per": per})
    stored, _ = method.transform(weight)
    rows = weight.numpy().reshape(shape[0] if per == "row" and len(shape) > 1 else 1, -1)
    rank = -(-round(10 * percentile) * rows.shape[1] // 1000)  # in whole numbers, thus exact
    limits = np.sort(abs(rows), axis=1)[:, rank - 1 : rank]
    assert np.array_equal(stored.numpy().reshape(rows.shape), np.clip(rows, -limits, limits))


@pytest.mark.parametrize("out_of_range", ["clamp", "zero"])
@pytest.mark.parametrize("dtype", ["fp32", "fp16", "q2_5", "int8"])
def test_clipped_weights_are_the_ends_of_the_range_on_read(dtype: str, out_of_range: str) -> None:
    options = {"percentile": 90.0, "out_of_range": out_of_range}
    storage = Storage(FORMATS.make(dtype), (METHODS.make("range_clamp", options),))
    weight = torch.randn(1000, generator=torch.Generator().manual_seed(3))
    held = write("w", weight, storage)
    assert torch.equal(read(held, held.fields, storage).weight, held.clean)
    largest = float(held.states[0]["largest"])
    assert largest == float(held.clean.abs().max())
    assert largest == pytest.approx(float(np.percentile(abs(weight.numpy()), 90)), rel=0.02)
    assert int((held.clean.abs() == largest).sum()) >= 100


def test_a_percentile_that_leaves_nothing_is_refused_and_rows_of_zeros_are_not() -> None:
    weight = torch.zeros(4, 10)
    weight[0, 0] = 1.0
    for per in ("tensor", "row"):
        method = METHODS.make("range_clamp", {"percentile": 50.0, "per": per})
        with pytest.raises(ValueError, match=rf"percentile 50 of the magnitudes of a {per} is 0"):
            method.transform(weight)
        assert torch.equal(method.transform(torch.zeros(4, 10))[0], torch.zeros(4, 10))


@pytest.mark.parametrize("percentile", [0, -1, 100.5, math.nan])
def test_no_other_percentiles_are_taken(percentile: float) -> None:
    with pytest.raises(OptionError, match="percentile"):
        METHODS.make("range_clamp", {"percentile": percentile})


def test_the_whole_range_is_the_default_and_goes_unsaid() -> None:
    assert clamp().label == METHODS.make("range_clamp", {"percentile": 100.0}).label
    assert METHODS.make("range_clamp", {"percentile": 99.5}).label.endswith("percentile=99.5)")
    weight = torch.tensor([0.5, -2.0])
    assert clamp().transform(weight)[0] is weight

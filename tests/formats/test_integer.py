"""Symmetric integers, against exact fractions, numpy, ml_dtypes and torch's own quantisers."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
import torch

from campaign.bits import Words, mask_to_width
from campaign.formats import FORMATS, NumberFormat

BITS = range(2, 17)


def made(bits: int, per: str = "tensor") -> NumberFormat:
    """The format by its name."""
    return FORMATS.make(f"int{bits}", {"per": per})


def steps_of(bits: int) -> int:
    """The largest stored integer."""
    return (1 << (bits - 1)) - 1


def written(fmt: NumberFormat, values: torch.Tensor, scale: torch.Tensor) -> list[int]:
    """The integers stored for `values`."""
    half, full = 1 << (fmt.width - 1), 1 << fmt.width
    codes = fmt.encode(values, scale).data.reshape(-1).tolist()
    return [(code % full ^ half) - half for code in codes]


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    """Gaussian weights."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1


@pytest.mark.parametrize("bits", BITS)
def test_every_code_decodes_to_its_integer_times_the_scale(bits: int) -> None:
    half = 1 << (bits - 1)
    every = np.arange(-half, half)
    scale = np.float32(0.0123)
    words = mask_to_width(torch.from_numpy(every.astype(np.int64)), bits)
    got = made(bits).decode(words, torch.tensor(scale)).numpy()
    expected = (every * float(scale)).astype(np.float32)  # exact in float64, rounded once
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("bits", "oracle"), [(2, ml_dtypes.int2), (4, ml_dtypes.int4)])
def test_narrow_integers_are_those_of_ml_dtypes(bits: int, oracle: type) -> None:
    codes = np.arange(1 << bits, dtype=np.uint8)
    got = made(bits).decode(Words(torch.from_numpy(codes), bits), torch.tensor(1.0)).numpy()
    np.testing.assert_array_equal(got, codes.view(oracle).astype(np.float32))


@pytest.mark.parametrize("bits", BITS)
def test_encode_rounds_ties_to_even_around_every_code_and_midpoint(bits: int) -> None:
    steps, scale = steps_of(bits), 2.0**-9
    middles = np.arange(-steps - 1.5, steps + 2) * scale
    exact = np.concatenate([middles, np.arange(-steps, steps + 1) * scale]).astype(np.float32)
    around = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    values = np.concatenate([exact, *around])[:: 1 if bits < 12 else 13]
    rounded = [round(Fraction(float(value)) * 512) for value in values]
    expected = [max(-steps, min(steps, number)) for number in rounded]
    assert written(made(bits), torch.from_numpy(values), torch.tensor(scale)) == expected


@pytest.mark.parametrize("bits", BITS)
def test_encode_divides_exactly_by_a_scale_that_is_no_power_of_two(bits: int) -> None:
    steps, scale = steps_of(bits), np.float32(0.0317)
    middles = (np.arange(-steps, steps)[:: 1 + steps // 500] + 0.5) * float(scale)
    exact = middles.astype(np.float32)
    around = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    values = np.concatenate([exact, *around])
    unit = Fraction(float(scale))
    rounded = [round(Fraction(float(value)) / unit) for value in values]
    expected = [max(-steps, min(steps, number)) for number in rounded]
    assert written(made(bits), torch.from_numpy(values), torch.tensor(scale)) == expected


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_encode_undoes_decode_for_every_code_that_is_ever_written(bits: int, per: str) -> None:
    steps = steps_of(bits)
    every = torch.arange(-steps, steps + 1).repeat(2, 1)
    scale = torch.tensor([[0.7], [3e-4]]) if per == "channel" else torch.tensor(0.0317)
    fmt = made(bits, per)
    read = fmt.decode(mask_to_width(every, bits), scale)
    assert written(fmt, read, scale) == every.reshape(-1).tolist()


@pytest.mark.parametrize("bits", BITS)
def test_the_largest_weight_is_stored_as_the_largest_integer(bits: int) -> None:
    fmt, values = made(bits), weights(7, 9)
    scale = fmt.calibrate(values)
    assert scale is not None
    stored = written(fmt, values, scale)
    assert max(abs(number) for number in stored) == steps_of(bits)
    assert -(1 << (bits - 1)) not in stored


def test_a_fault_can_make_the_pattern_that_is_never_written() -> None:
    fmt = made(8)
    read = fmt.decode(Words(torch.tensor([0x80], dtype=torch.uint8), 8), torch.tensor(0.5))
    assert read.tolist() == [-64.0]


def test_one_scale_per_tensor_is_the_maximum_over_127() -> None:
    values = weights(5, 6)
    scale = made(8).calibrate(values)
    assert scale is not None
    assert scale.shape == ()
    assert float(scale) == float(np.float32(np.abs(values.numpy()).max().astype(np.float64) / 127))


@pytest.mark.parametrize("shape", [(6, 4), (6, 3, 2, 2)])
def test_one_scale_per_channel_is_the_maximum_of_each_row(shape: tuple[int, ...]) -> None:
    values = weights(*shape)
    values[2] = 0
    scale = made(8, "channel").calibrate(values)
    assert scale is not None
    assert scale.shape == (6, *[1] * (len(shape) - 1))
    rows = [np.abs(row).max().astype(np.float64) / 127 for row in values.numpy()]
    expected = [float(np.float32(row)) if row else 1.0 for row in rows]
    assert scale.reshape(-1).tolist() == expected


@pytest.mark.parametrize("bits", [3, 4, 8])
@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_reading_back_equals_torch_fake_quantisation(bits: int, per: str) -> None:
    fmt, steps = made(bits, per), steps_of(bits)
    values = weights(6, 3, 3, 3)
    scale = torch.full((6, 1, 1, 1) if per == "channel" else (), 2.0 ** (3 - bits))
    got = fmt.decode(fmt.encode(values, scale), scale)
    zeros = torch.zeros(6, dtype=torch.int32)
    if per == "channel":
        expected = torch.fake_quantize_per_channel_affine(
            values, scale.reshape(-1), zeros, 0, -steps, steps
        )
    else:
        expected = torch.fake_quantize_per_tensor_affine(values, float(scale), 0, -steps, steps)
    assert torch.equal(got, expected)


@pytest.mark.parametrize("bits", BITS)
def test_the_error_is_at_most_half_a_step(bits: int) -> None:
    fmt, values = made(bits, "channel"), weights(8, 50)
    scale = fmt.calibrate(values)
    assert scale is not None
    error = (fmt.decode(fmt.encode(values, scale), scale) - values).abs()
    assert bool((error <= scale * (0.5 + 1e-3)).all())


@pytest.mark.parametrize("per", ["tensor", "channel"])
@pytest.mark.parametrize("tiny", [0.0, 1e-45, 1e-44])
def test_a_tensor_of_zeros_or_of_the_tiniest_values_reads_as_zeros(per: str, tiny: float) -> None:
    fmt = made(8, per)
    values = torch.tensor([[tiny, -tiny, 0.0], [0.0, 0.0, 0.0]])
    scale = fmt.calibrate(values)
    assert scale is not None
    assert bool((scale > 0).all())
    assert fmt.decode(fmt.encode(values, scale), scale).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("count", [1, 7, 64])
def test_nan_is_stored_as_zero_and_infinity_saturates(count: int) -> None:
    values = torch.tensor([float("nan"), float("inf"), -float("inf")] * count)
    assert written(made(8), values, torch.tensor(1.0)) == [0, 127, -127] * count


@pytest.mark.parametrize("bits", BITS)
def test_the_name_states_the_bits_and_the_label_the_other_options(bits: int) -> None:
    assert (made(bits).label, made(bits).width) == (f"int{bits}", bits)
    assert made(bits, "channel").label == f"int{bits}(per=channel)"
    assert made(bits).largest is None


@pytest.mark.parametrize("name", ["int0", "int1", "int17", "int32", "int08", "int-8", "int"])
def test_only_2_to_16_bits_have_a_name(name: str) -> None:
    with pytest.raises(LookupError, match=f"unknown dtype '{name}'"):
        FORMATS.make(name)

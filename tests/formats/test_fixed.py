"""Qm.n fixed point, against exact fractions and gfloat's int8."""

from __future__ import annotations

from fractions import Fraction

import gfloat
import ml_dtypes
import numpy as np
import pytest
import torch
from gfloat.formats import format_info_ocp_int8

from campaign.bits import Words, mask_to_width
from campaign.formats import FORMATS, NumberFormat

SMALL = [(0, 1), (1, 0), (2, 5), (0, 7), (7, 0), (1, 6), (3, 4), (2, 1), (3, 12), (0, 15), (7, 8)]
WIDE = [(15, 16), (2, 29), (0, 31), (31, 0), (7, 16)]


def made(m: int, n: int) -> NumberFormat:
    """The format by its name."""
    return FORMATS.make(f"q{m}_{n}")


def numbers(m: int, n: int) -> list[int]:
    """Every stored integer up to 16 bits, else a large odd stride and both ends."""
    top = 1 << (m + n)
    if m + n <= 15:
        return list(range(-top, top))
    return [-top, -top + 1, -1, 0, 1, top - 2, top - 1, *range(-top, top, 2 * top // 40_000 | 1)]


def nearest_float32(number: int, n: int) -> np.float32:
    """Round number / 2^n once: a fraction of up to 32 bits is exact in float64."""
    return np.float32(float(Fraction(number, 1 << n)))


def stored_number(value: float, m: int, n: int) -> int:
    """Round to even (Python's rule for fractions) and saturate, exactly."""
    top = 1 << (m + n)
    return max(-top, min(top - 1, round(Fraction(value) * (1 << n))))


def read(fmt: NumberFormat, numbers: list[int]) -> torch.Tensor:
    """What the two's complement patterns of `numbers` decode to."""
    return fmt.decode(mask_to_width(torch.tensor(numbers, dtype=torch.int64), fmt.width), None)


def written(fmt: NumberFormat, values: list[float]) -> list[int]:
    """The numbers stored for `values`."""
    codes = fmt.encode(torch.tensor(values, dtype=torch.float32), None).data.tolist()
    half, full = 1 << (fmt.width - 1), 1 << fmt.width
    return [(code % full ^ half) - half for code in codes]


@pytest.mark.parametrize(("m", "n"), SMALL + WIDE)
def test_every_code_decodes_to_its_exact_fraction(m: int, n: int) -> None:
    every = numbers(m, n)
    assert read(made(m, n), every).tolist() == [float(nearest_float32(q, n)) for q in every]


@pytest.mark.parametrize(("m", "n"), SMALL)
def test_encode_rounds_ties_to_even_around_every_code_and_midpoint(m: int, n: int) -> None:
    step = 2.0**-n
    middles = [(q + 0.5) * step for q in numbers(m, n)[:: 1 if m + n < 12 else 13]]
    exact = np.array(middles, dtype=np.float32)
    around = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    values = np.concatenate([exact, *around]).tolist()
    assert written(made(m, n), values) == [stored_number(value, m, n) for value in values]


@pytest.mark.parametrize(("m", "n"), WIDE)
def test_wide_formats_round_random_values_exactly(m: int, n: int) -> None:
    rng = np.random.default_rng(m)
    values = (rng.standard_normal(3000) * 2.0 ** rng.integers(-n, m + 1, 3000)).astype(np.float32)
    halves = (rng.integers(-(2**22), 2**22, 1000) + 0.5) * 2.0**-n
    both = [*values.tolist(), *halves.astype(np.float32).tolist()]
    assert written(made(m, n), both) == [stored_number(value, m, n) for value in both]


@pytest.mark.parametrize(("m", "n"), SMALL)
def test_encode_undoes_decode_for_every_code(m: int, n: int) -> None:
    every = numbers(m, n)
    assert written(made(m, n), read(made(m, n), every).tolist()) == every


@pytest.mark.parametrize(("m", "n"), WIDE)
def test_what_was_read_is_stored_again_as_what_reads_the_same(m: int, n: int) -> None:
    fmt, once = made(m, n), read(made(m, n), numbers(m, n))
    again = fmt.decode(fmt.encode(once, None), None)
    assert torch.equal(again, once)
    exact = [q for q in numbers(m, n) if abs(q) < 1 << 24]
    assert written(fmt, read(fmt, exact).tolist()) == exact


@pytest.mark.parametrize(("m", "n"), SMALL + WIDE)
def test_values_beyond_the_range_saturate(m: int, n: int) -> None:
    top = 1 << (m + n)
    beyond = [2.0**m, 2.0 ** (m + 1), 1e38, float("inf")]
    assert written(made(m, n), beyond) == [top - 1] * 4
    assert written(made(m, n), [-value for value in beyond]) == [-top] * 4


@pytest.mark.parametrize("count", [1, 7, 64])
def test_nan_and_both_zeros_are_stored_as_zero(count: int) -> None:
    assert written(made(2, 5), [float("nan"), 0.0, -0.0] * count) == [0] * (3 * count)


def test_q2_5_is_eight_bits_from_minus_4_to_3_96875() -> None:
    fmt = made(2, 5)
    assert (fmt.label, fmt.width, fmt.largest) == ("q2_5", 8, 3.96875)
    values = read(fmt, list(range(-128, 128)))
    assert (float(values.min()), float(values.max())) == (-4.0, 3.96875)


@pytest.mark.parametrize(("m", "n"), SMALL + WIDE)
def test_the_largest_value_is_the_top_code(m: int, n: int) -> None:
    fmt = made(m, n)
    top = (1 << (m + n)) - 1
    assert fmt.largest == float(Fraction(top, 1 << n))
    assert float(read(fmt, [top])) == float(np.float32(fmt.largest))


def test_q1_6_is_the_int8_of_the_ocp_microscaling_specification() -> None:
    codes = np.arange(256, dtype=np.uint8)
    expected = gfloat.decode_ndarray(format_info_ocp_int8, codes.astype(np.uint64))
    got = made(1, 6).decode(Words(torch.from_numpy(codes), 8), None).numpy()
    np.testing.assert_array_equal(got.astype(np.float64), expected)


def test_q3_0_is_the_int4_of_ml_dtypes() -> None:
    codes = np.arange(16, dtype=np.uint8)
    expected = codes.view(ml_dtypes.int4).astype(np.float32)
    got = made(3, 0).decode(Words(torch.from_numpy(codes), 4), None).numpy()
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ["q0_0", "q40_1", "q0_32", "q31_1", "q99_99"])
def test_a_width_outside_2_to_32_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} has \d+ bits; allowed: 2\.\.32"):
        FORMATS.make(name)

"""fp32, fp16 and bf16, against numpy, ml_dtypes and gfloat."""

from __future__ import annotations

from collections.abc import Iterator

import gfloat
import ml_dtypes
import numpy as np
import pytest
import torch
from gfloat.formats import format_info_bfloat16, format_info_binary16, format_info_binary32
from numpy.typing import NDArray

from campaign.bits import Words
from campaign.formats import FORMATS

ORACLES = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16, "fp32": np.float32}
INFOS = {
    "fp16": format_info_binary16,
    "bf16": format_info_bfloat16,
    "fp32": format_info_binary32,
}
SHORT = ["fp16", "bf16"]
ALL_CODES = np.arange(1 << 16, dtype=np.uint16)
FP32_CODES = np.arange(0, 1 << 32, 10_007, dtype=np.uint64).astype(np.uint32)  # 429,197 codes


@pytest.fixture(autouse=True)
def _numpy_may_cast_signalling_nan() -> Iterator[None]:
    with np.errstate(invalid="ignore", over="ignore"):
        yield


def codes_of(name: str) -> NDArray[np.unsignedinteger]:
    """Every 16-bit code, or a large odd stride over the 32-bit ones."""
    return FP32_CODES if name == "fp32" else ALL_CODES


def words_of(name: str, codes: NDArray[np.unsignedinteger]) -> Words:
    """Codes as words, made with numpy alone."""
    signed = codes.view(np.int32 if name == "fp32" else np.int16)
    return Words(torch.from_numpy(signed.copy()), 32 if name == "fp32" else 16)


def decoded(name: str, codes: NDArray[np.unsignedinteger]) -> NDArray[np.float32]:
    """What our format reads."""
    values = FORMATS.make(name).decode(words_of(name, codes), None)
    assert values.dtype == torch.float32
    return values.numpy()


def encoded(name: str, values: NDArray[np.float32]) -> NDArray[np.unsignedinteger]:
    """The codes our format writes."""
    words = FORMATS.make(name).encode(torch.from_numpy(values), None)
    return words.data.numpy().view(np.uint32 if name == "fp32" else np.uint16)


def boundaries(name: str) -> NDArray[np.float32]:
    """Every finite value, every midpoint of neighbours, and the float32 on each side of both."""
    finite = decoded(name, ALL_CODES).astype(np.float64)
    finite = np.unique(finite[np.isfinite(finite)])
    middle = (finite[1:] + finite[:-1]) / 2
    exact = np.concatenate([finite, middle]).astype(np.float32)
    below = np.nextafter(exact, np.float32(-np.inf))
    return np.concatenate([exact, below, np.nextafter(exact, np.float32(np.inf))])


@pytest.mark.parametrize("name", ORACLES)
def test_every_code_decodes_as_numpy_or_ml_dtypes_say(name: str) -> None:
    codes = codes_of(name)
    expected = codes.view(ORACLES[name]).astype(np.float32)
    np.testing.assert_array_equal(decoded(name, codes), expected)


@pytest.mark.parametrize("name", ORACLES)
def test_every_code_decodes_as_gfloat_says(name: str) -> None:
    codes = codes_of(name)[:: 1 if name != "fp32" else 16]
    expected = gfloat.decode_ndarray(INFOS[name], codes.astype(np.uint64))
    np.testing.assert_array_equal(decoded(name, codes).astype(np.float64), expected)


@pytest.mark.parametrize("name", SHORT)
def test_encode_rounds_to_nearest_even_around_every_code_and_midpoint(name: str) -> None:
    values = boundaries(name)
    top = float(ml_dtypes.finfo(ORACLES[name]).max)
    expected = np.clip(values, -top, top).astype(ORACLES[name]).view(np.uint16)
    np.testing.assert_array_equal(encoded(name, values), expected)


@pytest.mark.parametrize("name", SHORT)
def test_encode_rounds_and_saturates_as_gfloat_does(name: str) -> None:
    values = boundaries(name)
    expected = gfloat.round_ndarray(INFOS[name], values.astype(np.float64), sat=True)
    got = decoded(name, encoded(name, values)).astype(np.float64)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ORACLES)
def test_values_beyond_the_range_saturate_with_their_sign(name: str) -> None:
    top = np.float32(ml_dtypes.finfo(ORACLES[name]).max)
    above = np.nextafter(top, np.float32(np.inf))
    values = np.array([top, above, np.inf, np.finfo(np.float32).max], dtype=np.float32)
    assert decoded(name, encoded(name, values)).tolist() == [top] * 4
    assert decoded(name, encoded(name, -values)).tolist() == [-top] * 4


@pytest.mark.parametrize("name", ORACLES)
def test_encode_undoes_decode_for_every_finite_code(name: str) -> None:
    codes = codes_of(name)
    values = decoded(name, codes)
    finite = np.isfinite(values)
    np.testing.assert_array_equal(encoded(name, values[finite]), codes[finite])
    assert finite.mean() > 0.9


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("count", [1, 7, 64])
def test_nan_is_stored_as_some_nan(name: str, count: int) -> None:
    values = np.full(count, np.nan, dtype=np.float32)
    assert np.isnan(decoded(name, encoded(name, values))).all()


@pytest.mark.parametrize("name", ORACLES)
def test_both_zeros_keep_their_sign(name: str) -> None:
    codes = encoded(name, np.array([0.0, -0.0], dtype=np.float32))
    assert codes.tolist() == [0, 1 << (FORMATS.make(name).width - 1)]


@pytest.mark.parametrize("name", ORACLES)
def test_the_exponent_all_ones_reads_as_infinity_or_nan_and_nothing_else_does(name: str) -> None:
    fmt, codes = FORMATS.make(name), codes_of(name).astype(np.uint64)
    field = fmt.bit_classes["exponent"]
    ones = np.uint64((1 << len(field)) - 1)
    special = (codes >> np.uint64(field.start)) & ones == ones
    np.testing.assert_array_equal(~np.isfinite(decoded(name, codes_of(name))), special)


@pytest.mark.parametrize("name", ORACLES)
def test_the_largest_value_is_that_of_the_format(name: str) -> None:
    assert FORMATS.make(name).largest == float(ml_dtypes.finfo(ORACLES[name]).max)


@pytest.mark.parametrize("name", ORACLES)
def test_flipping_an_exponent_bit_multiplies_or_divides_by_its_power(name: str) -> None:
    fmt = FORMATS.make(name)
    field = fmt.bit_classes["exponent"]
    one = encoded(name, np.array([1.5], dtype=np.float32))
    bias = (1 << (len(field) - 1)) - 1
    for place, bit in enumerate(field):
        if bit == field.stop - 1:
            continue  # the top bit of a value near 1 makes infinity or NaN
        assert bias >> place & 1
        flipped = decoded(name, one ^ one.dtype.type(1 << bit))
        assert float(flipped[0]) == 1.5 * 2.0 ** -(2**place)

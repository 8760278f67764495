"""fp8 against ml_dtypes and gfloat: every code, every midpoint, the float32 on each side."""

from __future__ import annotations

import gfloat
import ml_dtypes
import numpy as np
import pytest
import torch
from gfloat.formats import (
    format_info_ocp_e4m3,
    format_info_ocp_e5m2,
)
from numpy.typing import NDArray

from campaign.bits import Words
from campaign.formats import FORMATS

ORACLES = {
    "fp8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
    "fp8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "fp8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
}
INFOS = {"fp8_e4m3fn": format_info_ocp_e4m3, "fp8_e5m2": format_info_ocp_e5m2}
CODES = np.arange(256, dtype=np.uint8)
NAMES = list(ORACLES)


def decoded(name: str, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What our format reads."""
    return FORMATS.make(name).decode(Words(torch.from_numpy(codes.copy()), 8), None).numpy()


def encoded(name: str, values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The codes our format writes."""
    return FORMATS.make(name).encode(torch.from_numpy(values), None).data.numpy()


def boundaries(name: str) -> NDArray[np.float32]:
    """Every finite value, every midpoint of neighbours, and the float32 on each side of both."""
    every = CODES.view(ORACLES[name]).astype(np.float64)
    finite = np.unique(every[np.isfinite(every)])
    exact = np.concatenate([finite, (finite[1:] + finite[:-1]) / 2, [-0.0]]).astype(np.float32)
    below = np.nextafter(exact, np.float32(-np.inf))
    return np.concatenate([exact, below, np.nextafter(exact, np.float32(np.inf))])


@pytest.mark.parametrize("name", NAMES)
def test_every_code_decodes_as_ml_dtypes_says(name: str) -> None:
    expected = CODES.view(ORACLES[name]).astype(np.float32)
    np.testing.assert_array_equal(decoded(name, CODES), expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(
        np.signbit(decoded(name, CODES))[numbers], np.signbit(expected)[numbers]
    )


@pytest.mark.parametrize("name", INFOS)
def test_every_code_decodes_as_gfloat_says(name: str) -> None:
    expected = gfloat.decode_ndarray(INFOS[name], CODES.astype(np.uint64))
    np.testing.assert_array_equal(decoded(name, CODES).astype(np.float64), expected)


@pytest.mark.parametrize("name", NAMES)
def test_encode_rounds_to_nearest_even_around_every_code_and_midpoint(name: str) -> None:
    values = boundaries(name)
    top = float(ml_dtypes.finfo(ORACLES[name]).max)
    expected = np.clip(values, -top, top).astype(ORACLES[name]).view(np.uint8)
    np.testing.assert_array_equal(encoded(name, values), expected)


@pytest.mark.parametrize("name", INFOS)
def test_encode_rounds_and_saturates_as_gfloat_does(name: str) -> None:
    values = boundaries(name)
    expected = gfloat.round_ndarray(INFOS[name], values.astype(np.float64), sat=True)
    np.testing.assert_array_equal(decoded(name, encoded(name, values)).astype(np.float64), expected)


@pytest.mark.parametrize("name", NAMES)
def test_values_beyond_the_range_saturate_with_their_sign(name: str) -> None:
    top = np.float32(ml_dtypes.finfo(ORACLES[name]).max)
    assert FORMATS.make(name).largest == top
    above = np.nextafter(top, np.float32(np.inf))
    values = np.array([top, above, np.inf, np.finfo(np.float32).max], dtype=np.float32)
    assert decoded(name, encoded(name, values)).tolist() == [top] * 4
    assert decoded(name, encoded(name, -values)).tolist() == [-top] * 4


@pytest.mark.parametrize("name", NAMES)
def test_encode_undoes_decode_for_every_finite_code(name: str) -> None:
    values = decoded(name, CODES)
    finite = np.isfinite(values)
    np.testing.assert_array_equal(encoded(name, values[finite]), CODES[finite])


@pytest.mark.parametrize(
    ("name", "nan", "infinite"),
    [
        ("fp8_e4m3fn", [0x7F, 0xFF], []),
        ("fp8_e5m2", [0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF], [0x7C, 0xFC]),
        ("fp8_e4m3fnuz", [0x80], []),
        ("fp8_e5m2fnuz", [0x80], []),
    ],
)
def test_the_codes_that_are_no_numbers_are_those_of_the_papers(
    name: str, nan: list[int], infinite: list[int]
) -> None:
    values = decoded(name, CODES)
    assert CODES[np.isnan(values)].tolist() == nan
    assert CODES[np.isinf(values)].tolist() == infinite


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 7, 64])
def test_nan_is_stored_as_some_nan(name: str, count: int) -> None:
    for sign in (1.0, -1.0):
        values = np.full(count, np.copysign(np.nan, sign), dtype=np.float32)
        assert np.isnan(decoded(name, encoded(name, values))).all()


@pytest.mark.parametrize("name", ["fp8_e4m3fnuz", "fp8_e5m2fnuz"])
def test_negative_zero_and_what_rounds_to_it_are_stored_as_zero_in_fnuz(name: str) -> None:
    values = np.array([-0.0, -1e-30, -1e-45], dtype=np.float32)
    assert encoded(name, values).tolist() == [0, 0, 0]

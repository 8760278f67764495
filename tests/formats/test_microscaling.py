"""Microscaling against gfloat's OCP block formats and ml_dtypes, on every code there is."""

from __future__ import annotations

import itertools

import gfloat
import ml_dtypes
import numpy as np
import pytest
import torch
from gfloat import formats as oracle
from numpy.typing import NDArray

from campaign.bits import Words
from campaign.formats import FORMATS

BLOCKS = {
    "mxfp8_e4m3": oracle.format_info_mxfp8_e4m3,
    "mxfp8_e5m2": oracle.format_info_mxfp8_e5m2,
    "mxfp6_e3m2": oracle.format_info_mxfp6_e3m2,
    "mxfp6_e2m3": oracle.format_info_mxfp6_e2m3,
    "mxfp4": oracle.format_info_mxfp4_e2m1,
    "mxint8": oracle.format_info_mxint8,
}
ELEMENTS = {
    "mxfp8_e4m3": ml_dtypes.float8_e4m3fn,
    "mxfp8_e5m2": ml_dtypes.float8_e5m2,
    "mxfp6_e3m2": ml_dtypes.float6_e3m2fn,
    "mxfp6_e2m3": ml_dtypes.float6_e2m3fn,
    "mxfp4": ml_dtypes.float4_e2m1fn,
}
WIDTHS = {
    "mxfp8_e4m3": 8,
    "mxfp8_e5m2": 8,
    "mxfp6_e3m2": 6,
    "mxfp6_e2m3": 6,
    "mxfp4": 4,
    "mxint8": 8,
}
NAMES = list(BLOCKS)
ONE = 127
"""The code of the scale 1."""


def decoded(name: str, codes: NDArray[np.uint8], scales: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What our format reads; `codes` has shape (rows, values), `scales` (rows, blocks)."""
    words = Words(torch.from_numpy(codes.copy()), WIDTHS[name])
    return FORMATS.make(name).decode(words, torch.from_numpy(scales.copy())).numpy()


def encoded(name: str, values: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The element codes and the scale codes our format writes."""
    fmt, tensor = FORMATS.make(name), torch.from_numpy(values)
    scale = fmt.calibrate(tensor)
    assert scale is not None
    return fmt.encode(tensor, scale).data.numpy(), scale.numpy()


def numbers(name: str) -> NDArray[np.float64]:
    """Every finite number of an element that is ever written, ascending, by gfloat."""
    codes = np.arange(1 << WIDTHS[name], dtype=np.uint64)
    values = np.unique(gfloat.decode_ndarray(BLOCKS[name].etype, codes))
    finite = values[np.isfinite(values)]
    return finite[finite >= -finite.max()]


@pytest.mark.parametrize("name", NAMES)
def test_every_code_under_every_scale_reads_as_gfloat_says(name: str) -> None:
    codes, scales = np.arange(1 << WIDTHS[name]), np.arange(256)
    elements = gfloat.decode_ndarray(BLOCKS[name].etype, codes.astype(np.uint64))
    powers = gfloat.decode_ndarray(BLOCKS[name].stype, scales.astype(np.uint64))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = (powers[:, None] * elements[None, :]).astype(np.float32)
    image = np.broadcast_to(codes.astype(np.uint8), expected.shape)
    blocks = -(-codes.size // 32)
    got = decoded(name, image, np.repeat(scales.astype(np.uint8)[:, None], blocks, 1))
    np.testing.assert_array_equal(got, expected)
    assert np.isnan(got[255]).all()


@pytest.mark.parametrize("name", ELEMENTS)
def test_every_element_code_reads_as_ml_dtypes_says(name: str) -> None:
    codes = np.arange(1 << WIDTHS[name], dtype=np.uint8)
    expected = codes.view(ELEMENTS[name]).astype(np.float32)
    scales = np.full((1, -(-codes.size // 32)), ONE, dtype=np.uint8)
    got = decoded(name, codes[None, :], scales)[0]
    np.testing.assert_array_equal(got, expected)
    valid = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[valid]), np.signbit(expected[valid]))


@pytest.mark.parametrize("name", NAMES)
def test_elements_round_to_nearest_even_around_every_code_and_midpoint(name: str) -> None:
    finite, info = numbers(name), BLOCKS[name].etype
    exact = np.concatenate([finite, (finite[1:] + finite[:-1]) / 2]).astype(np.float32)
    around = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    top = np.float32(finite.max())
    values = np.clip(np.concatenate([exact, *around]), -top, top)
    rows = np.concatenate([values[:, None], np.full((values.size, 1), top)], axis=1)  # scale 1
    codes, scales = encoded(name, rows)
    assert (scales == ONE).all()
    expected = gfloat.encode_ndarray(
        info, gfloat.round_ndarray(info, values.astype(np.float64), sat=True)
    )
    if name == "mxint8":
        expected = np.where(values == 0, 0, expected)
    np.testing.assert_array_equal(codes[:, 0], expected.astype(np.uint8))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1e-42, 1e-30, 0.1, 3.0, 1e30])
def test_random_blocks_are_written_and_read_as_gfloat_does(name: str, size: float) -> None:
    info, generator = BLOCKS[name], np.random.default_rng(1)
    values = (generator.standard_normal((6, 32)) * size).astype(np.float32)
    codes, scales = encoded(name, values)
    read = decoded(name, codes, scales)
    for row, block in enumerate(values.astype(np.float64)):
        scale = gfloat.compute_scale_amax(info.etype.emax, block)
        limit = min(info.etype.max, -info.etype.min)
        scaled = np.clip(block / scale, -limit, limit)
        code, *elements = gfloat.encode_block(info, scale, scaled)
        assert (int(scales[row, 0]), codes[row].tolist()) == (code, elements)
        expected = np.array(list(gfloat.decode_block(info, [code, *elements]))).astype(np.float32)
        np.testing.assert_array_equal(read[row], expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_scale_is_the_exponent_of_the_largest_less_that_of_the_largest_element(
    name: str,
) -> None:
    powers = np.float32(2.0) ** np.arange(-149, 128, dtype=np.float32)
    largest = np.unique(np.concatenate([powers, np.nextafter(powers, np.float32(np.inf))]))
    _, scales = encoded(name, np.stack([largest, -largest / 2], axis=1))
    emax = BLOCKS[name].etype.emax
    expected = [np.frexp(np.float64(value))[1] - 1 - emax for value in largest]
    assert (scales[:, 0].astype(int) - ONE).tolist() == np.clip(expected, -127, 127).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_a_block_of_zeros_has_the_least_scale_and_reads_as_zeros(name: str) -> None:
    codes, scales = encoded(name, np.zeros((2, 40), dtype=np.float32))
    assert scales.tolist() == [[0, 0], [0, 0]]
    assert not decoded(name, codes, scales).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("shape", "blocks"), [((3, 70), 9), ((4, 5, 3, 3), 8), ((33,), 2), ((), 1)]
)
def test_blocks_are_32_weights_of_one_channel_and_the_last_may_be_shorter(
    name: str, shape: tuple[int, ...], blocks: int
) -> None:
    values = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    codes, scales = encoded(name, values)
    assert (codes.shape, scales.size) == (shape, blocks)
    rows = values.reshape(shape[0] if len(shape) > 1 else 1, -1)
    lone = [encoded(name, row[i : i + 32]) for row in rows for i in range(0, row.size, 32)]
    assert codes.reshape(-1).tolist() == [code for found, _ in lone for code in found.tolist()]
    assert scales.reshape(-1).tolist() == [found.item() for _, found in lone]


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_stored_as_zero_and_infinity_saturates(name: str) -> None:
    values = np.array([np.nan, np.inf, -np.inf, 1.0], dtype=np.float32)
    codes, scales = encoded(name, values)
    read = decoded(name, codes[None, :], scales)[0]
    top = FORMATS.make(name).largest
    assert top == BLOCKS[name].etype.max * 2.0 ** (127 - BLOCKS[name].etype.emax)
    assert read.tolist() == [0.0, top, -top, 0.0]


def test_a_flip_in_the_scale_moves_its_block_by_powers_of_two_and_no_other() -> None:
    values = np.random.default_rng(3).standard_normal((2, 64)).astype(np.float32)
    codes, scales = encoded("mxfp4", values)
    clean = decoded("mxfp4", codes, scales)
    for bit, (row, block) in itertools.product(range(6), np.ndindex(2, 2)):
        struck = scales.copy()
        struck[row, block] ^= 1 << bit
        power = 2.0 ** (int(struck[row, block]) - int(scales[row, block]))
        expected = clean.copy()
        expected[row, 32 * block : 32 * block + 32] *= np.float32(power)
        np.testing.assert_array_equal(decoded("mxfp4", codes, struck), expected)


def test_only_elements_of_the_standard_have_a_name() -> None:
    for name in ("mxfp8", "mxfp6", "mxfp4_e2m1", "mxint4", "mx"):
        with pytest.raises(LookupError, match=f"unknown dtype '{name}'"):
            FORMATS.make(name)

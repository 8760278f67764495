"""Schemes, storage, rounding and groups of integers, against exact fractions, numpy and torch."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from campaign.bits import Words
from campaign.formats import FORMATS, NumberFormat
from campaign.methods import METHODS
from campaign.registry import OptionError

BITS = range(2, 17)


def made(bits: int, **options: object) -> NumberFormat:
    """The format by its name and options."""
    return FORMATS.make(f"int{bits}", options)


def rquant(bits: int, **options: object) -> NumberFormat:
    """RandBET's robust quantisation."""
    return made(bits, scheme="robust", storage="unsigned", **options)


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    """Gaussian weights off centre."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1 + 0.03


def words(fmt: NumberFormat, values: torch.Tensor) -> tuple[list[int], torch.Tensor]:
    """The stored patterns and what they read as."""
    scale = fmt.calibrate(values)
    stored = fmt.encode(values, scale)
    patterns = [code % (1 << fmt.width) for code in stored.data.reshape(-1).tolist()]
    return patterns, fmt.decode(stored, scale)


@pytest.mark.parametrize("bits", BITS)
def test_robust_is_the_quantiser_of_the_paper(bits: int) -> None:
    values, top = weights(200), (1 << (bits - 1)) - 1
    low, high = Fraction(float(values.min())), Fraction(float(values.max()))
    delta = (1 + Fraction(1, 1000)) / top
    patterns, read = words(rquant(bits), values)
    for value, pattern, number in zip(values.tolist(), patterns, read.tolist(), strict=True):
        normal = (Fraction(value) - low) / (high - low) * 2 - 1
        assert pattern == round(normal / delta) + (1 << (bits - 1))
        back = ((pattern - (1 << (bits - 1))) * delta + 1) / 2 * (high - low) + low
        assert number == np.float32(float(min(max(back, low), high)))


@pytest.mark.parametrize("bits", BITS)
def test_no_pattern_reads_robustly_beyond_the_range_of_the_weights(bits: int) -> None:
    fmt, values = rquant(bits), weights(50)
    every = torch.arange(1 << bits).to(torch.uint8 if bits <= 8 else torch.int16)
    read = fmt.decode(Words(every, bits), fmt.calibrate(values))
    assert read.min() == values.min()
    assert read.max() == values.max()


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_error_of_robust_is_at_most_half_a_step(bits: int) -> None:
    values = weights(500)
    step = float(values.max() - values.min()) / 2 * 1.001 / ((1 << (bits - 1)) - 1)
    _, read = words(rquant(bits), values)
    assert float((read - values).abs().max()) <= step / 2 * (1 + 1e-5)


def test_equal_weights_read_robustly_as_themselves_whatever_the_bits() -> None:
    fmt, values = rquant(8), torch.full((256,), 0.3)
    scale = fmt.calibrate(values)
    assert torch.equal(fmt.decode(fmt.encode(values, scale), scale), values)
    every = Words(torch.arange(256).to(torch.uint8), 8)
    assert torch.equal(fmt.decode(every, scale), values)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("storage", ["signed", "unsigned"])
def test_asymmetric_constants_are_the_affine_ones(bits: int, storage: str) -> None:
    values, codes = weights(64), (1 << bits) - 1
    scale = made(bits, scheme="asymmetric", storage=storage).calibrate(values)
    assert scale is not None
    low, high = float(values.min()), float(values.max())
    step = np.float32((high - low) / codes)
    assert scale.tolist() == [step, round(-(1 << (bits - 1)) - low / float(step))]


@pytest.mark.parametrize("values", [[0.5, 1.0, 3.0], [-0.5, -2.0, -1.0], [-1.0, 0.0, 7.0]])
@pytest.mark.parametrize("bits", [2, 3, 8, 16])
def test_asymmetric_holds_zero_exactly(values: list[float], bits: int) -> None:
    fmt = made(bits, scheme="asymmetric")
    scale = fmt.calibrate(torch.tensor(values))
    zeros = torch.zeros(3)
    assert torch.equal(fmt.decode(fmt.encode(zeros, scale), scale), zeros)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("zero", [0, 1])
@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_asymmetric_reads_as_torch_fake_quantisation(bits: int, zero: int, per: str) -> None:
    values, half = weights(6, 3, 3, 3), 1 << (bits - 1)
    fmt = made(bits, scheme="asymmetric", per=per)
    shape = (6, 1, 1, 1) if per == "channel" else ()
    step, zeros = torch.full(shape, 2.0 ** (2 - bits)), torch.full(shape, float(zero))
    scale = torch.stack([step, zeros])
    got = fmt.decode(fmt.encode(values, scale), scale)
    if per == "channel":
        expected = torch.fake_quantize_per_channel_affine(
            values, step.reshape(-1), zeros.reshape(-1).to(torch.int32), 0, -half, half - 1
        )
    else:
        expected = torch.fake_quantize_per_tensor_affine(values, float(step), zero, -half, half - 1)
    assert torch.equal(got, expected)


@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric", "robust"])
@pytest.mark.parametrize("bits", [2, 3, 8, 12, 16])
def test_unsigned_patterns_are_the_signed_ones_plus_half_the_codes(scheme: str, bits: int) -> None:
    values = weights(100)
    signed, read_signed = words(made(bits, scheme=scheme), values)
    unsigned, read_unsigned = words(made(bits, scheme=scheme, storage="unsigned"), values)
    half, codes = 1 << (bits - 1), 1 << bits
    assert unsigned == [(pattern + half) % codes for pattern in signed]
    assert torch.equal(read_signed, read_unsigned)


@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric", "robust"])
def test_any_flip_has_the_same_effect_in_signed_and_unsigned_storage(scheme: str) -> None:
    values = weights(256)
    read = []
    for storage in ("signed", "unsigned"):
        fmt = made(8, scheme=scheme, storage=storage)
        scale = fmt.calibrate(values)
        stored = fmt.encode(values, scale).data
        flipped = torch.arange(256).to(torch.uint8) ^ stored  # every pattern of flips once
        read.append(fmt.decode(Words(flipped, 8), scale))
    assert torch.equal(*read)


@pytest.mark.parametrize("bits", [3, 8])
def test_truncation_is_what_a_cast_of_the_stored_number_does(bits: int) -> None:
    values, half = weights(300), 1 << (bits - 1)
    array = values.numpy().astype(np.float64)
    scale = float(np.float32(np.abs(array).max() / (half - 1)))
    signed, _ = words(made(bits, rounding="truncate"), values)
    unsigned, _ = words(made(bits, rounding="truncate", storage="unsigned"), values)
    assert signed == [int(number) % (2 * half) for number in (array / scale).tolist()]
    assert unsigned == (array / scale + half).astype(np.uint8).tolist()


@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric", "robust"])
@pytest.mark.parametrize(("shape", "size"), [((4, 6), 4), ((3, 5, 3, 3), 16), ((50,), 8), ((), 4)])
def test_a_group_is_stored_as_a_tensor_of_its_own(
    scheme: str, shape: tuple[int, ...], size: int
) -> None:
    values = weights(*shape)
    patterns, read = words(made(8, scheme=scheme, per="group", group_size=size), values)
    alone = made(8, scheme=scheme)
    expected: list[tuple[list[int], list[float]]] = []
    for row in values.reshape(shape[0] if len(shape) > 1 else 1, -1):
        for group in row.split(size):
            codes, numbers = words(alone, group)
            expected.append((codes, numbers.tolist()))
    assert patterns == [code for codes, _ in expected for code in codes]
    assert read.reshape(-1).tolist() == [number for _, numbers in expected for number in numbers]


def test_a_size_of_groups_without_groups_is_refused() -> None:
    with pytest.raises(OptionError, match="group_size 32 needs per: group, got per: channel"):
        made(8, per="channel", group_size=32)
    with pytest.raises(OptionError, match=r"group_size: got 0"):
        made(8, per="group", group_size=0)


def test_only_a_format_whose_clear_word_is_zero_takes_methods_that_clear_words() -> None:
    parity = METHODS.make("parity")
    assert parity.refusal(made(8, per="channel")) is None
    for fmt in (rquant(8), made(8, scheme="asymmetric"), made(8, storage="unsigned")):
        assert parity.refusal(fmt) == f"{fmt.label} reads a cleared word as another number than 0"


def test_bits_have_a_sign_only_where_one_bit_is_the_sign() -> None:
    assert rquant(8).bit_classes == {"msb": range(7, 8), "integer": range(8)}
    assert made(8, storage="unsigned").bit_classes["sign"] == range(7, 8)

"""The algebra of one flipped bit gives what independent codecs give."""

import ml_dtypes
import numpy as np
import pytest

from campaign.analysis.closed_form import (
    ClampedCode,
    FloatCode,
    Numbers,
    StepCode,
    code_of,
    expected_errors,
)
from campaign.formats import FORMATS

SMALL = {
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "fp8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
    "fp8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "fp8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "mxfp4": ml_dtypes.float4_e2m1fn,
    "mxfp6_e2m3": ml_dtypes.float6_e2m3fn,
    "mxfp6_e3m2": ml_dtypes.float6_e3m2fn,
    "mxfp8_e4m3": ml_dtypes.float8_e4m3fn,
    "mxfp8_e5m2": ml_dtypes.float8_e5m2,
}


@pytest.mark.parametrize("name", [*SMALL, "fp32", "fp64"])
def test_floats_read_after_a_flip_as_other_codecs_say(name: str) -> None:
    """Every finite pattern and every bit where that is 16 bits or less, else random ones."""
    code = code_of(FORMATS.make(name))
    assert isinstance(code, FloatCode)
    width = code.width
    if width > 16:
        kind, carrier = (np.float32, np.uint32) if width == 32 else (np.float64, np.uint64)
        rng = np.random.default_rng(width)
        words = rng.integers(0, 2**width, 50_000, dtype=np.uint64).astype(carrier)
    else:
        kind, carrier = SMALL[name], np.dtype(f"u{-(-width // 8)}").type
        words = np.arange(2**width).astype(carrier)
    with np.errstate(invalid="ignore"):
        values = words.view(kind).astype(np.float64)
    words, values = words[np.isfinite(values)], values[np.isfinite(values)]
    for bit in range(width):
        with np.errstate(invalid="ignore"):
            truth = (words ^ carrier(1 << bit)).view(kind).astype(np.float64)
            ours = code.flipped(values, bit)
        np.testing.assert_array_equal(ours, truth)


@pytest.mark.parametrize("width", [4, 8])
def test_integers_read_after_a_flip_as_a_loop_says(width: int) -> None:
    half = 1 << (width - 1)
    for word in range(1 << width):
        number = word - (word >= half) * 2 * half
        for bit in range(width):
            struck = word ^ 1 << bit
            truth = struck - (struck >= half) * 2 * half
            found = StepCode(width).flipped(np.array([float(number)]), bit)
            assert abs(found[0] - number) == abs(truth - number)
            step = 1.001 / (half - 1)
            if abs(number) < half:  # the lowest pattern is never written
                clip = [min(1.0, max(-1.0, value * step)) for value in (number, truth)]
                held = ClampedCode(width).flipped(np.array([clip[0]]), bit)
                assert held[0] == pytest.approx(clip[1], abs=1e-12)


def test_errors_of_scaled_weights_are_those_of_the_numbers_over_c() -> None:
    """Two weights, by hand: fp16 holds 256 and -1 at c = 512, Q2.5 holds 2 and -1 at c = 4."""
    code = code_of(FORMATS.make("fp16"))
    assert code is not None
    found = expected_errors(code, Numbers(np.array([256.0, -1.0]), np.ones(()), np.array(512.0)))
    assert found.squared[15] == pytest.approx((2 * 256 / 512) ** 2 + (2 / 512) ** 2)
    assert found.absolute[9] == pytest.approx((128 + 0.5) / 512)
    # 256 has the exponent field 0b10111, -1 has 0b01111: bit 13 ends one, bit 14 the other
    assert found.nonfinite.tolist() == [0.0] * 13 + [1.0, 1.0, 0.0]
    assert found.absolute[14] == pytest.approx((256 - 256 / 2**16) / 512)
    zeroed = expected_errors(
        code, Numbers(np.array([256.0, -1.0]), np.ones(()), np.array(512.0)), "zero"
    )
    assert zeroed.absolute[14] == pytest.approx(found.absolute[14] + 1 / 512)
    clamped = expected_errors(
        code, Numbers(np.array([256.0, -1.0]), np.ones(()), np.array(512.0)), "clamp"
    )
    assert clamped.absolute[14] == pytest.approx(found.absolute[14] + (256 - 1) / 512)
    fixed = expected_errors(
        StepCode(8), Numbers(np.array([64.0, -32.0]), np.array(1 / 32), np.array(4.0))
    )
    np.testing.assert_allclose(fixed.squared, [2 * (2.0 ** (bit - 5) / 4) ** 2 for bit in range(8)])

"""fp64 against numpy: float32 is stored exactly, any pattern reads as the nearest float32."""

from __future__ import annotations

import numpy as np
import torch

from campaign.bits import Words
from campaign.formats import FORMATS

FP64 = FORMATS.make("fp64")
FLOATS = np.arange(0, 1 << 32, 10_007, dtype=np.uint64).astype(np.uint32).view(np.float32)
PATTERNS = np.arange(0, 1 << 64, (1 << 46) - 12_345, dtype=np.uint64)  # 262,145 codes


def test_any_pattern_reads_as_the_nearest_float32_and_infinity_above() -> None:
    words = Words(torch.from_numpy(PATTERNS.view(np.int64).copy()), 64)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = PATTERNS.view(np.float64).astype(np.float32)
    np.testing.assert_array_equal(FP64.decode(words, None).numpy(), expected)
    assert np.isinf(expected).mean() > 0.1


def test_every_float32_is_stored_as_the_same_number() -> None:
    finite = FLOATS[np.isfinite(FLOATS)]
    words = FP64.encode(torch.from_numpy(finite.copy()), None)
    np.testing.assert_array_equal(words.data.numpy().view(np.float64), finite.astype(np.float64))
    read = FP64.decode(words, None).numpy()
    np.testing.assert_array_equal(read.view(np.uint32), finite.view(np.uint32))


def test_infinity_saturates_at_the_largest_float32_and_nan_stays() -> None:
    values = torch.tensor([torch.inf, -torch.inf, torch.nan])
    read = FP64.decode(FP64.encode(values, None), None)
    top = float(np.finfo(np.float32).max)
    assert FP64.largest == top
    assert read[:2].tolist() == [top, -top]
    assert bool(read[2].isnan())


def test_bits_are_sign_exponent_and_mantissa_of_binary64() -> None:
    assert FP64.width == 64
    assert (FP64.bit_classes["exponent"], FP64.bit_classes["mantissa"]) == (
        range(52, 63),
        range(52),
    )
    one = np.array([1.0]).view(np.int64)
    found = FP64.encode(torch.tensor([1.0]), None).data
    assert found.tolist() == one.tolist()

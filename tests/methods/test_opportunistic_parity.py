"""Opportunistic parity: free, one unit in the last place, odd numbers of flips read as zero."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from campaign.bits import Words, flip, mask_to_width
from campaign.faults import FAULTS, Stream
from campaign.formats import FORMATS
from campaign.methods import METHODS, Method
from campaign.trial.memory import Storage, read, write

METHOD = METHODS.make("opportunistic_parity")
FLOATS = {"fp32": 2.0**-23, "fp16": 2.0**-10, "bf16": 2.0**-7}


def bound(width: int) -> Method:
    return METHOD.bind(FORMATS.make({16: "fp16", 32: "fp32"}[width]))


def ones(words: Words) -> list[int]:
    mask = (1 << words.width) - 1
    return [(code & mask).bit_count() for code in words.data.tolist()]


def random_words(width: int, count: int) -> Words:
    generator = torch.Generator().manual_seed(0)
    return mask_to_width(torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator), width)


@pytest.mark.parametrize("width", [16, 32])
def test_stored_words_have_an_even_number_of_ones_and_only_the_last_bit_moved(width: int) -> None:
    words = random_words(width, 1000)
    stored = bound(width).adapt(words)
    assert {count % 2 for count in ones(stored)} == {0}
    assert set((words.data ^ stored.data).tolist()) == {0, 1}


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_weight_moves_by_at_most_one_unit_in_the_last_place(dtype: str) -> None:
    weight = torch.randn(5000, generator=torch.Generator().manual_seed(1)) * 0.1
    fmt = FORMATS.make(dtype)
    plain = write("w", weight, Storage(fmt))
    stored = write("w", weight, Storage(fmt, (METHOD,)))
    assert stored.check_bits == 0
    error = ((stored.clean - plain.clean) / plain.clean).abs()
    assert 0 < float(error.max()) <= FLOATS[dtype]


@pytest.mark.parametrize(
    ("dtype", "by_two"),
    [
        ("fp8_e4m3fn", [0xFE]),
        ("mxfp8_e4m3", [0xFE]),
        ("fp8_e5m2", []),
        ("mxfp8_e5m2", []),
        ("fp8_e4m3fnuz", []),
        ("fp8_e5m2fnuz", []),
    ],
)
def test_every_finite_word_of_8_bits_stays_finite_even_and_near(
    dtype: str, by_two: list[int]
) -> None:
    """Only -448 of e4m3fn moves by two: one step further stands NaN."""
    fmt = FORMATS.make(dtype)
    scale = fmt.calibrate(torch.ones(256))
    every = Words(torch.arange(256, dtype=torch.uint8), 8)
    finite = fmt.decode(every, scale).isfinite()
    method = METHOD.bind(fmt)
    stored = method.adapt(every)
    assert {count % 2 for count in ones(stored)} == {0}
    assert torch.equal(method.adapt(stored).data, stored.data)
    assert bool(fmt.decode(stored, scale).isfinite()[finite].all())
    moved = every.data ^ stored.data
    assert every.data[finite & (moved > 1)].tolist() == by_two
    assert stored.data[0xFE] == (0xFC if by_two else 0xFF if moved[0xFE] else 0xFE)


@pytest.mark.parametrize("dtype", ["int8", "int4", "q2_5", "q15_16"])
def test_formats_without_a_mantissa_are_refused(dtype: str) -> None:
    reason = METHOD.refusal(FORMATS.make(dtype))
    assert reason is not None
    assert "use parity" in reason


@pytest.mark.parametrize("width", [16, 32])
def test_every_single_error_reads_as_zero_and_every_double_one_passes(width: int) -> None:
    method = bound(width)
    words = method.adapt(random_words(width, 50))
    every = torch.arange(50) * width
    for bit in range(width):
        found = method.decode(flip(words, every + bit), None)
        assert not bool(found.words.data.any())
        assert (found.corrected, found.detected) == (0, 50)
    for bits in combinations(range(width), 2):
        wrong = flip(flip(words, every + bits[0]), every + bits[1])
        found = method.decode(wrong, None)
        assert torch.equal(found.words.data, wrong.data)
        assert (found.corrected, found.detected) == (0, 0)


@pytest.mark.parametrize("ber", [1e-3, 1e-2])
def test_unseen_errors_are_as_many_as_the_closed_form_says(ber: float) -> None:
    count, width = 200_000, 32
    method = bound(width)
    words = method.adapt(random_words(width, count))
    positions = FAULTS.make("bit_flip").sample(words, ber, Stream(2, "w", "payload", width))
    wrong = flip(words, torch.from_numpy(positions))
    found = method.decode(wrong, None)
    hits = np.bincount(positions // width, minlength=count)
    assert found.detected == int((hits % 2 == 1).sum())
    odd = count * (1 - (1 - 2 * ber) ** width) / 2
    assert abs(found.detected - odd) < 6 * math.sqrt(odd)
    kept = (found.words.data == wrong.data) & (wrong.data != words.data)
    even = count * ((1 + (1 - 2 * ber) ** width) / 2 - (1 - ber) ** width)
    assert abs(int(kept.sum()) - even) < 6 * math.sqrt(even)


@pytest.mark.parametrize("other", ["parity", "secded", "nmr"])
def test_check_words_of_methods_before_it_fit_what_is_stored(other: str) -> None:
    storage = Storage(FORMATS.make("fp16"), (METHODS.make(other), METHOD))
    stored = write("w", torch.randn(100, generator=torch.Generator().manual_seed(4)), storage)
    reading = read(stored, stored.fields, storage)
    assert (reading.corrected, reading.detected) == (0, 0)
    assert torch.equal(reading.weight, stored.clean)

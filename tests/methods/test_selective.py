"""Copies of some bits only: selective protection and copies of the most significant bits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from campaign.bits import Words, flip, mask_to_width
from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS, Method
from campaign.trial.memory import Storage, choose, corrupt, read, write

PROTECTED = {
    ("fp32", "sign_exponent"): range(23, 32),
    ("fp16", "sign_exponent"): range(10, 16),
    ("bf16", "exponent"): range(7, 15),
    ("fp32", "exponent_msb"): range(30, 31),
    ("fp16", "sign"): range(15, 16),
    ("int8", "sign"): range(7, 8),
    ("int4", "msb"): range(3, 4),
    ("q3_12", "integer"): range(12, 15),
}


def random_words(width: int, count: int) -> Words:
    generator = torch.Generator().manual_seed(0)
    return mask_to_width(torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator), width)


def check_single_flips(method: Method, width: int, protected: range) -> None:
    """Flips of protected bits are undone, others stay; those of a copy do nothing."""
    words = random_words(width, 40)
    payload, check = method.encode(words)
    assert torch.equal(payload.data, words.data)
    assert check is not None
    assert check.width == len(protected)
    every = torch.arange(40) * width
    for bit in range(width):
        wrong = flip(words, every + bit)
        found = method.decode(wrong, check)
        expected, corrected = (words, 40) if bit in protected else (wrong, 0)
        assert torch.equal(found.words.data, expected.data)
        assert (found.corrected, found.detected) == (corrected, 0)
    for bit in range(check.bits):
        found = method.decode(words, flip(check, torch.tensor([bit])))
        assert torch.equal(found.words.data, words.data)
        assert (found.corrected, found.detected) == (0, 0)


@pytest.mark.parametrize("copies", [3, 5])
@pytest.mark.parametrize(("dtype", "bits"), PROTECTED)
def test_selective_undoes_every_flip_of_its_bits_and_no_other(
    dtype: str, bits: str, copies: int
) -> None:
    fmt = FORMATS.make(dtype)
    method = METHODS.make("selective", {"bits": bits, "copies": copies}).bind(fmt)
    check_single_flips(method, fmt.width, PROTECTED[dtype, bits])


@pytest.mark.parametrize("bits", [1, 3, 8])
@pytest.mark.parametrize("width", [8, 12, 32, 64])
def test_three_copies_undo_every_flip_of_the_most_significant_bits(width: int, bits: int) -> None:
    method = METHODS.make("msb_copy", {"bits": bits})
    check_single_flips(method, width, range(width - bits, width))


@pytest.mark.parametrize("bits", [1, 3])
@pytest.mark.parametrize("width", [8, 12, 32])
def test_two_copies_that_differ_zero_the_word(width: int, bits: int) -> None:
    method, words = METHODS.make("msb_copy", {"bits": bits, "copies": 2}), random_words(width, 40)
    _, check = method.encode(words)
    assert check is not None
    assert check.bits == 40 * bits
    for bit in range(width):
        wrong = flip(words, torch.arange(40) * width + bit)
        found = method.decode(wrong, check)
        seen = bit >= width - bits
        assert torch.equal(found.words.data, wrong.data * (not seen))
        assert (found.corrected, found.detected) == (0, 40 * seen)
    found = method.decode(words, flip(check, torch.tensor([0])))
    assert found.detected == 1
    assert int(found.words.data[0]) == 0
    assert torch.equal(found.words.data[1:], words.data[1:])


def test_the_wrong_bits_of_each_class_are_as_many_as_the_closed_forms_say() -> None:
    """Protected bits 3p^2 - 2p^3, the others p."""
    ber, fmt = 1e-2, FORMATS.make("fp32")
    storage = Storage(fmt, (METHODS.make("selective"),))
    stored = write("w", torch.randn(100_000, generator=torch.Generator().manual_seed(6)), storage)
    assert stored.check_bits == 2 * 9 * 100_000
    faults = corrupt(stored, choose([stored], FAULTS.make("bit_flip"), storage, ber=ber, seed=1))
    weight = read(stored, faults.fields, storage).weight
    wrong = (weight.view(torch.int32) ^ stored.clean.view(torch.int32)).numpy().view(np.uint32)
    counts = [int((wrong >> np.uint32(bit) & np.uint32(1)).sum()) for bit in range(32)]
    for bits, rate in ((range(23, 32), 3 * ber**2 - 2 * ber**3), (range(23), ber)):
        expected = 100_000 * len(bits) * rate
        assert abs(sum(counts[bit] for bit in bits) - expected) < 6 * math.sqrt(expected)


@pytest.mark.parametrize(
    ("method", "options", "dtype"),
    [
        ("selective", {}, "int8"),
        ("selective", {"bits": "exponent"}, "q2_5"),
        ("selective", {"bits": "integer"}, "fp32"),
        ("selective", {"bits": "integer"}, "q0_7"),
        ("msb_copy", {"bits": 9}, "int8"),
    ],
)
def test_bits_that_a_format_lacks_are_refused(method: str, options: dict, dtype: str) -> None:
    reason = METHODS.make(method, options).refusal(FORMATS.make(dtype))
    assert reason is not None
    assert dtype in reason


def test_selective_needs_a_format() -> None:
    with pytest.raises(TypeError, match="bind the method to one"):
        METHODS.make("selective").encode(random_words(32, 2))

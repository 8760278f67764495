"""N-modular redundancy, against counted copies, decoded values and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from campaign.bits import Words, flip, mask_to_width
from campaign.faults import FAULTS, Stream
from campaign.formats import FORMATS
from campaign.methods import METHODS

FORMATS_IN_ORDER = ["fp32", "fp16", "bf16", "int8", "int4", "q2_5", "q3_12", "q15_16"]


def random_words(width: int, count: int, seed: int = 0) -> Words:
    generator = torch.Generator().manual_seed(seed)
    return mask_to_width(torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator), width)


def hit(words: Words, field: str, ber: float) -> Words:
    """The words with bits flipped at `ber`."""
    stream = Stream(5, "w", field, words.width)
    return flip(words, torch.from_numpy(FAULTS.make("bit_flip").sample(words, ber, stream)))


def left(copies: int, ber: float) -> float:
    """Probability that most copies of a bit are wrong."""
    most = range(copies // 2 + 1, copies + 1)
    return sum(math.comb(copies, k) * ber**k * (1 - ber) ** (copies - k) for k in most)


@pytest.mark.parametrize("ber", [1e-3, 1e-2, 5e-2])
@pytest.mark.parametrize("copies", [3, 5])
def test_bits_left_wrong_are_as_many_as_the_closed_form_says(copies: int, ber: float) -> None:
    method, words = METHODS.make("nmr", {"copies": copies}), random_words(32, 200_000)
    _, check = method.encode(words)
    assert check is not None
    found = method.decode(hit(words, "payload", ber), hit(check, "check0", ber))
    difference = (found.words.data ^ words.data).numpy().view(np.uint8)
    expected = words.bits * left(copies, ber)
    assert abs(int(np.unpackbits(difference).sum()) - expected) < 6 * math.sqrt(expected) + 1


def test_three_copies_leave_three_p_squared() -> None:
    for ber, stated in {1e-4: 3e-8, 1e-3: 3e-6, 1e-2: 3e-4}.items():
        assert left(3, ber) == pytest.approx(stated, rel=0.01)


@pytest.mark.parametrize("vote", ["bitwise", "median"])
@pytest.mark.parametrize("dtype", FORMATS_IN_ORDER)
def test_one_wrong_copy_of_three_changes_nothing(dtype: str, vote: str) -> None:
    fmt = FORMATS.make(dtype)
    method = METHODS.make("nmr", {"vote": vote}).bind(fmt)
    words = random_words(fmt.width, 500)
    wrong = random_words(fmt.width, 500, seed=1)
    _, check = method.encode(words)
    assert check is not None
    found = method.decode(wrong, check)
    assert torch.equal(found.words.data, words.data)
    assert (found.corrected, found.detected) == (int((wrong.data != words.data).sum()), 0)
    for place in range(2):
        data = check.data.clone()
        data[place] = wrong.data
        found = method.decode(words, Words(data, check.width))
        assert torch.equal(found.words.data, words.data)
        assert (found.corrected, found.detected) == (0, 0)


@pytest.mark.parametrize("copies", [3, 5])
@pytest.mark.parametrize("dtype", FORMATS_IN_ORDER)
def test_the_median_is_the_median_of_the_values(dtype: str, copies: int) -> None:
    fmt = FORMATS.make(dtype)
    method = METHODS.make("nmr", {"vote": "median", "copies": copies}).bind(fmt)
    held = [random_words(fmt.width, 3000, seed) for seed in range(copies)]
    check = Words(torch.stack([words.data for words in held[1:]]), fmt.width)
    scale = fmt.calibrate(torch.ones(1))
    values = np.stack([fmt.decode(words, scale).numpy() for words in held])
    known = ~np.isnan(values).any(0)
    assert known.sum() > 2500
    found = fmt.decode(method.decode(held[0], check).words, scale).numpy()
    assert (found[known] == np.sort(values[:, known], 0)[copies // 2]).all()


def test_a_nan_never_wins_a_median_against_two_numbers() -> None:
    fmt = FORMATS.make("fp16")
    method = METHODS.make("nmr", {"vote": "median"}).bind(fmt)
    number = fmt.encode(torch.tensor([-2.0, 0.5]), None).data
    for nan in (0x7E00, 0x7C01, -0x0200, -1):
        copies = [number, torch.full_like(number, nan), fmt.encode(torch.ones(2), None).data]
        for turn in range(3):
            payload, *rest = copies[turn:] + copies[:turn]
            found = method.decode(Words(payload, 16), Words(torch.stack(rest), 16))
            assert bool(fmt.decode(found.words, None).isfinite().all())


@pytest.mark.parametrize("dtype", ["fp8_e4m3fnuz", "fp8_e5m2fnuz"])
def test_nan_in_the_place_of_minus_zero_lies_beyond_every_number(dtype: str) -> None:
    fmt = FORMATS.make(dtype)
    method = METHODS.make("nmr", {"vote": "median"}).bind(fmt)
    every = torch.arange(256, dtype=torch.uint8)
    for first in (0x81, 0x01, 0x00, 0xFF, 0x7F):
        copies = [torch.full_like(every, first), torch.full_like(every, 0x80), every]
        values = torch.stack([fmt.decode(Words(copy, 8), None) for copy in copies])
        expected = values.nan_to_num(nan=-torch.inf).sort(0).values[1]
        for turn in range(3):
            payload, *rest = copies[turn:] + copies[:turn]
            found = method.decode(Words(payload, 8), Words(torch.stack(rest), 8))
            read = fmt.decode(found.words, None)
            assert torch.equal(read.nan_to_num(nan=-torch.inf), expected)


def test_a_median_without_a_format_is_refused() -> None:
    method, words = METHODS.make("nmr", {"vote": "median"}), random_words(8, 3)
    with pytest.raises(TypeError, match="bind the method to a format"):
        method.decode(*method.encode(words))


@pytest.mark.parametrize("copies", [3, 5, 7, 9])
def test_every_further_copy_costs_a_whole_word(copies: int) -> None:
    _, check = METHODS.make("nmr", {"copies": copies}).encode(random_words(12, 10))
    assert check is not None
    assert (check.width, check.bits) == (12, (copies - 1) * 120)

"""BCH codes of 64 data bits; `test_bch_sizes` holds them against galois."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from campaign.bits import Words, flip, mask_to_width
from campaign.bits.bch import bch
from campaign.faults import FAULTS, Stream
from campaign.methods import METHODS, Decoded

ERRORS = [1, 2, 3]
GENERATORS = {1: 0o211, 2: 0o41567, 3: 0o11554743}
"""Of the codes of length 127: Lin & Costello, Error Control Coding, appendix C."""
Patterns = list[tuple[int, ...]]


def random_words(count: int, width: int = 64) -> Words:
    generator = torch.Generator().manual_seed(0)
    return mask_to_width(torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator), width)


def remainder(dividend: int, divisor: int) -> int:
    """Of polynomials over GF(2); bit i is the coefficient of x^i."""
    while dividend.bit_length() >= divisor.bit_length():
        dividend ^= divisor << (dividend.bit_length() - divisor.bit_length())
    return dividend


def bits_of(words: Words) -> np.ndarray:
    """(words, width), the least significant bit first."""
    codes = words.data.numpy().astype(np.int64)[:, None]
    return (codes >> np.arange(words.width) & 1).astype(np.uint8)


def hit(words: Words, check: Words, patterns: Patterns) -> tuple[Words, Words]:
    """Block i with the bits of pattern i wrong; check bits follow the 64 data bits."""
    data = [i * 64 + b for i, p in enumerate(patterns) for b in p if b < 64]
    rest = [i * check.width + b - 64 for i, p in enumerate(patterns) for b in p if b >= 64]
    return flip(words, torch.tensor(data).long()), flip(check, torch.tensor(rest).long())


def decoded(errors: int, words: Words, patterns: Patterns) -> Decoded:
    method = METHODS.make("bch", {"errors": errors, "on_failure": "keep"})
    _, check = method.encode(words)
    assert check is not None
    return method.decode(*hit(words, check, patterns))


@pytest.mark.parametrize("errors", ERRORS)
def test_check_words_are_remainders_by_the_published_generators(errors: int) -> None:
    words = random_words(300)
    _, check = METHODS.make("bch", {"errors": errors}).encode(words)
    assert check is not None
    assert check.width == 7 * errors
    codes = bits_of(words) @ (1 << np.arange(64, dtype=object))
    expected = [remainder(int(c) << check.width, GENERATORS[errors]) for c in codes]
    assert (check.data.long() & ((1 << check.width) - 1)).tolist() == expected


@pytest.mark.parametrize("errors", ERRORS)
def test_every_pattern_of_so_many_errors_or_fewer_is_corrected(errors: int) -> None:
    n = 64 + 7 * errors
    for count in range(errors + 1):
        patterns = list(combinations(range(n), count))
        words = Words(random_words(1).data.expand(len(patterns)).contiguous(), 64)
        found = decoded(errors, words, patterns)
        assert torch.equal(found.words.data, words.data)
        assert found.corrected == sum(any(bit < 64 for bit in p) for p in patterns)
        assert found.detected == 0


@pytest.mark.parametrize("errors", ERRORS)
def test_patterns_of_up_to_t_errors_have_distinct_syndromes(errors: int) -> None:
    code = bch(errors)
    columns = np.array([*code.columns, *(1 << bit for bit in range(code.check_bits))])
    seen = [0]
    for count in range(1, errors + 1):
        bits = np.array(list(combinations(range(len(columns)), count)))
        seen += np.bitwise_xor.reduce(columns[bits], axis=1).tolist()
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("ber", [1e-3, 1e-2])
@pytest.mark.parametrize("errors", ERRORS)
def test_blocks_left_wrong_are_those_with_more_wrong_bits(errors: int, ber: float) -> None:
    count, method = 50_000, METHODS.make("bch", {"errors": errors})
    words = Words(random_words(count).data | 1, 64)
    _, check = method.encode(words)
    assert check is not None
    wrong, received = np.zeros(count, np.int64), []
    for field, part in (("payload", words), ("check0", check)):
        positions = FAULTS.make("bit_flip").sample(part, ber, Stream(1, "w", field, part.width))
        wrong += np.bincount(positions // part.width, minlength=count)
        received.append(flip(part, torch.from_numpy(positions)))
    left = (method.decode(*received).words.data != words.data).numpy()
    assert (left == (wrong > errors)).all()
    n = 64 + 7 * errors
    fine = sum(math.comb(n, k) * ber**k * (1 - ber) ** (n - k) for k in range(errors + 1))
    expected = count * (1 - fine)
    assert abs(int(left.sum()) - expected) < 6 * math.sqrt(expected) + 1

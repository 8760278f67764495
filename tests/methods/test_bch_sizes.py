"""BCH codes of other data bits and more errors, against galois."""

from __future__ import annotations

from functools import lru_cache

import galois
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from campaign.bits import Words, flip
from campaign.bits.bch import bch
from campaign.bits.field import PRIMITIVE, tables
from campaign.bits.locator import FAILED, Locator
from campaign.methods import METHODS
from campaign.registry import OptionError

pytestmark = pytest.mark.xdist_group("galois")  # which compiles itself once a process
CODES = [
    (16, 3, 31),
    (16, 8, 63),
    (32, 5, 63),
    (24, 4, 63),
    (64, 8, 127),
    (128, 2, 255),
    (128, 8, 255),
    (256, 7, 511),
    (512, 1, 1023),
    (512, 6, 1023),
]
"""Data bits, errors, and the length of the code before it is shortened."""
SIZES = [(16, 8), (32, 5), (64, 4), (64, 8), (128, 2), (128, 8), (256, 7), (512, 1), (512, 6)]
Bits = NDArray[np.uint8]


@lru_cache
def oracle(data_bits: int, errors: int, length: int) -> galois.BCH:
    return galois.BCH(length, d=2 * errors + 1)


def words_of(bits: Bits) -> Words:
    """Bits of all words, the least significant first, as words of 8 bits."""
    data = np.packbits(bits.reshape(-1, 8), axis=1, bitorder="little")[:, 0]
    return Words(torch.from_numpy(data), 8)


def bits_of(words: Words) -> Bits:
    """One row for each word, the least significant bit first."""
    codes = words.data.numpy().astype(np.int64).reshape(-1, 1)
    return (codes >> np.arange(words.width) & 1).astype(np.uint8)


def patterns(data_bits: int, check_bits: int, errors: int) -> Bits:
    """Every single error; one word for each k with k random wrong bits, up to three more than t."""
    n, rng = data_bits + check_bits, np.random.default_rng(data_bits + errors)
    counts = np.tile(np.arange(errors + 4), 12)
    ranks = rng.random((len(counts), n)).argsort(1).argsort(1)
    return np.vstack([np.eye(n, dtype=np.uint8), (ranks < counts[:, None]).astype(np.uint8)])


@pytest.mark.slow  # galois takes up to minutes for one code
@pytest.mark.parametrize(("data_bits", "errors", "length"), CODES)
def test_codes_of_every_size_do_what_those_of_galois_do(
    data_bits: int, errors: int, length: int
) -> None:
    method = METHODS.make("bch", {"errors": errors, "data_bits": data_bits, "on_failure": "keep"})
    check_bits, code = bch(errors, data_bits).check_bits, oracle(data_bits, errors, length)
    wrong = patterns(data_bits, check_bits, errors)
    rng = np.random.default_rng(errors)
    sent = rng.integers(0, 2, (len(wrong), data_bits), dtype=np.uint8)
    words, check = method.encode(words_of(sent))
    assert check is not None
    assert check.bits == method.check_bits(words.data.numel(), 8)
    received = words_of(sent ^ wrong[:, :data_bits])
    rows, places = wrong[:, data_bits:].nonzero()
    struck = flip(check, torch.from_numpy(rows * check_bits + places))
    codewords = np.hstack([sent[:, ::-1], bits_of(check)[:, ::-1]])
    assert (codewords == np.asarray(code.encode(galois.GF2(sent[:, ::-1])))).all()

    found = method.decode(received, struck)
    arrived = np.hstack([(sent ^ wrong[:, :data_bits])[:, ::-1], bits_of(struck)[:, ::-1]])
    read, count = code.decode(galois.GF2(arrived), errors=True)
    got = bits_of(found.words).reshape(-1, data_bits)
    assert (got == np.asarray(read)[:, ::-1]).all()
    few = wrong.sum(1) <= errors
    assert (got[few] == sent[few]).all()
    assert found.detected == int((count == -1).sum()) * data_bits // 8
    assert found.corrected == int((found.words.data != received.data).sum())
    zeroed = METHODS.make("bch", {"errors": errors, "data_bits": data_bits})
    cleared = bits_of(zeroed.decode(received, struck).words).reshape(-1, data_bits)
    assert (cleared == np.where((count == -1)[:, None], 0, got)).all()


@pytest.mark.parametrize(("data_bits", "errors"), SIZES)
def test_codewords_have_the_roots_and_up_to_t_errors_are_corrected(
    data_bits: int, errors: int
) -> None:
    """More errors give another codeword with at most t bits changed, or are detected."""
    method = METHODS.make("bch", {"errors": errors, "data_bits": data_bits, "on_failure": "keep"})
    check_bits = bch(errors, data_bits).check_bits
    wrong = patterns(data_bits, check_bits, errors)
    rng = np.random.default_rng(errors)
    sent = rng.integers(0, 2, (len(wrong), data_bits), dtype=np.uint8)
    _, check = method.encode(words_of(sent))
    assert check is not None
    received = words_of(sent ^ wrong[:, :data_bits])
    rows, places = wrong[:, data_bits:].nonzero()
    struck = flip(check, torch.from_numpy(rows * check_bits + places))
    found = method.decode(received, struck)

    got = bits_of(found.words).reshape(-1, data_bits)
    few = wrong.sum(1) <= errors
    assert (got[few] == sent[few]).all()
    changed = (got != bits_of(received).reshape(-1, data_bits)).any(1)
    _, again = method.encode(found.words)
    assert again is not None
    moved = (got ^ sent ^ wrong[:, :data_bits]).sum(1) + (bits_of(again) ^ bits_of(struck)).sum(1)
    assert (moved[changed] <= errors).all()
    assert found.detected == int((moved > errors).sum()) * data_bits // 8
    assert (power_sums(np.hstack([bits_of(check), sent]), errors) == 0).all()


def power_sums(polynomials: Bits, errors: int) -> NDArray[np.int64]:
    """Values at x, x^2, ... x^(2 errors), by galois: coefficients from that of x^0 on."""
    length = polynomials.shape[1]
    degree = next(m for m in PRIMITIVE if length < 1 << m)
    field = galois.GF(2**degree, irreducible_poly=galois.matlab_primitive_poly(2, degree))
    root = field.primitive_element
    order = (1 << degree) - 1
    logs = np.arange(1, 2 * errors + 1)[:, None] * np.arange(length) % order
    powers = np.array([int(root**k) for k in range(order)])[logs]
    held = np.where(polynomials[:, None, :] == 1, powers, 0)
    found: NDArray[np.int64] = np.bitwise_xor.reduce(held, axis=2)
    return found


@pytest.mark.parametrize(("data_bits", "errors", "degree"), [(16, 3, 5), (64, 2, 7), (32, 2, 6)])
def test_algebra_finds_what_a_table_of_all_syndromes_holds(
    data_bits: int, errors: int, degree: int
) -> None:
    code = bch(errors, data_bits)
    assert code.search is None
    syndromes = torch.arange(1, 1 << code.check_bits)
    table = code.errors(syndromes)
    found = Locator(degree, errors, data_bits, code.check_bits).errors(syndromes)
    failed = table[:, 0] == FAILED
    assert 0 < int(failed.sum()) < len(syndromes)
    assert torch.equal(found[:, 0] == FAILED, failed)
    assert torch.equal(found[~failed].sort(1).values, table[~failed].sort(1).values)


@pytest.mark.parametrize("degree", list(PRIMITIVE))
def test_the_powers_of_the_root_are_all_elements(degree: int) -> None:
    held = tables(degree)
    assert sorted(held.powers) == list(range(1, 1 << degree))
    assert all(held.powers[held.logs[element]] == element for element in held.powers)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"data_bits": 512, "errors": 7}, "take 70 check bits, more than the 64 of a check word"),
        ({"data_bits": 256, "errors": 8}, "take 72 check bits, more than the 64 of a check word"),
        ({"data_bits": 60}, "data_bits"),
        ({"data_bits": 1024}, "data_bits"),
        ({"errors": 0}, "errors"),
        ({"errors": 9}, "errors"),
    ],
)
def test_codes_that_cannot_be_are_refused(options: dict[str, object], line: str) -> None:
    with pytest.raises(OptionError, match=line):
        METHODS.make("bch", options)


def test_the_default_is_the_code_of_64_bits_and_goes_unsaid() -> None:
    assert METHODS.make("bch", {"data_bits": 64}).label == METHODS.make("bch").label
    assert METHODS.make("bch", {"data_bits": 128}).label == "bch(data_bits=128)"
    assert METHODS.make("bch", {"data_bits": 512, "errors": 6}).operations(1000, 32) == 63 * 961

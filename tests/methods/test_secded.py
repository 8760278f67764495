"""SEC-DED codes, against a parity-check matrix in numpy and closed forms."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from campaign.bits import Words, flip, mask_to_width
from campaign.bits.hsiao import hsiao
from campaign.faults import FAULTS, Stream
from campaign.formats import FORMATS
from campaign.methods import METHODS, Decoded
from campaign.trial.memory import Storage, choose, corrupt, read, write

Bits = NDArray[np.uint8]
SIZES = [64, 32, 16]
TOTAL = {64: 72, 32: 39, 16: 22}


def matrix(data_bits: int) -> Bits:
    """The parity-check matrix [columns | identity], one row a check bit."""
    code = hsiao(data_bits)
    columns = [*code.columns, *(1 << row for row in range(code.check_bits))]
    return np.array([[c >> row & 1 for c in columns] for row in range(code.check_bits)], np.uint8)


def codewords(words: Words, check: Words, data_bits: int) -> Bits:
    """Data and check bits of each block, unpacked by numpy; words of 8, 16, 32, 64 bits."""
    data = np.unpackbits(words.data.numpy().view(np.uint8), bitorder="little")
    checks = np.unpackbits(check.data.numpy().view(np.uint8)[:, None], axis=1, bitorder="little")
    return np.hstack([data.reshape(-1, data_bits), checks[:, : check.width]])


def random_words(width: int, count: int, seed: int = 0) -> Words:
    generator = torch.Generator().manual_seed(seed)
    return mask_to_width(torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator), width)


def decoded(data_bits: int, words: Words, patterns: list[tuple[int, ...]], **kw: str) -> Decoded:
    """Block i of `words` with the bits of pattern i wrong; check bits follow data bits."""
    method = METHODS.make("secded", {"data_bits": data_bits, **kw})
    _, check = method.encode(words)
    assert check is not None
    data = [i * data_bits + b for i, p in enumerate(patterns) for b in p if b < data_bits]
    other = [
        i * check.width + b - data_bits for i, p in enumerate(patterns) for b in p if b >= data_bits
    ]
    return method.decode(flip(words, torch.tensor(data)), flip(check, torch.tensor(other)))


@pytest.mark.parametrize("size", SIZES)
def test_columns_are_distinct_and_odd_and_rows_are_balanced(size: int) -> None:
    h = matrix(size)
    assert h.shape == (TOTAL[size] - size, TOTAL[size])
    assert len({tuple(column) for column in h.T}) == TOTAL[size]
    assert set(h.sum(0) % 2) == {1}
    assert int(h.sum(1).max()) - int(h.sum(1).min()) <= 1


def test_the_codes_have_as_few_ones_as_hsiao_s() -> None:
    """A data column has 3 ones as long as there are such columns, then 5."""
    assert {size: int(matrix(size).sum()) for size in SIZES} == {
        64: 56 * 3 + 8 * 5 + 8,
        32: 32 * 3 + 7,
        16: 16 * 3 + 6,
    }


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_stored_bits_are_codewords_of_the_matrix(size: int, width: int) -> None:
    words = random_words(width, 64 * 8 // width)
    _, check = METHODS.make("secded", {"data_bits": size}).encode(words)
    assert check is not None
    assert check.width == TOTAL[size] - size
    assert not (codewords(words, check, size) @ matrix(size).T % 2).any()


@pytest.mark.parametrize("size", SIZES)
def test_every_single_error_is_corrected(size: int) -> None:
    patterns = [(bit,) for bit in range(TOTAL[size])]
    words = Words(random_words(16, size // 16).data.repeat(len(patterns)), 16)
    found = decoded(size, words, patterns)
    assert torch.equal(found.words.data, words.data)
    assert (found.corrected, found.detected) == (size, 0)


@pytest.mark.parametrize("size", SIZES)
def test_every_double_error_is_detected(size: int) -> None:
    patterns = list(combinations(range(TOTAL[size]), 2))
    words = Words(random_words(16, size // 16).data.repeat(len(patterns)), 16)
    found = decoded(size, words, patterns)
    assert not bool(found.words.data.any())
    assert (found.corrected, found.detected) == (0, words.data.numel())
    kept = decoded(size, words, patterns, on_double="keep")
    ones = sum(bit < size for pattern in patterns for bit in pattern)
    difference = (kept.words.data ^ words.data).numpy().view(np.uint8)
    assert int(np.unpackbits(difference).sum()) == ones
    assert (kept.corrected, kept.detected) == (0, words.data.numel())


@pytest.mark.parametrize("size", SIZES)
def test_triple_errors_are_corrected_or_detected_as_the_matrix_says(size: int) -> None:
    rng = np.random.default_rng(3)
    patterns = [tuple(sorted(rng.choice(TOTAL[size], 3, replace=False))) for _ in range(400)]
    words = random_words(size, 400)
    found = decoded(size, words, patterns, on_double="keep")
    columns = [tuple(column) for column in matrix(size).T]
    for i, pattern in enumerate(patterns):
        expected = sum(1 << int(b) for b in pattern if b < size)
        syndrome = tuple(matrix(size)[:, list(pattern)].sum(1) % 2)
        place = columns.index(syndrome) if syndrome in columns else size
        expected ^= 1 << place if place < size else 0
        got = int(found.words.data[i]) ^ int(words.data[i])
        assert got % (1 << size) == expected


@pytest.mark.parametrize("ber", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("size", SIZES)
def test_blocks_left_wrong_are_those_with_two_wrong_bits_or_more(size: int, ber: float) -> None:
    """Check bits are hit too; no word is 0, so that a zeroed block differs."""
    count, method = 100_000, METHODS.make("secded", {"data_bits": size})
    words = Words(random_words(size, count).data | 1, size)
    _, check = method.encode(words)
    assert check is not None
    wrong, hit = np.zeros(count, np.int64), []
    for field, part in (("payload", words), ("check0", check)):
        positions = FAULTS.make("bit_flip").sample(part, ber, Stream(1, "w", field, part.width))
        wrong += np.bincount(positions // part.width, minlength=count)
        hit.append(flip(part, torch.from_numpy(positions)))
    left = (method.decode(hit[0], hit[1]).words.data != words.data).numpy()
    assert (left == (wrong > 1)).all()
    n = TOTAL[size]
    expected = count * (1 - (1 - ber) ** n - n * ber * (1 - ber) ** (n - 1))
    assert abs(int(left.sum()) - expected) < 6 * math.sqrt(expected) + 1


def test_the_residual_table_of_72_bits_is_reproduced() -> None:
    """P(2 or more of 72): 2.5e-5 at 1e-4, 2.4e-3 at 1e-3, 0.16 at 1e-2."""
    table = {1e-5: 2.6e-7, 1e-4: 2.5e-5, 1e-3: 2.4e-3, 1e-2: 0.16}
    for ber, stated in table.items():
        exact = 1 - (1 - ber) ** 72 - 72 * ber * (1 - ber) ** 71
        assert exact == pytest.approx(stated, rel=0.04)


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8", "int4", "q3_12", "q0_5"])
def test_in_memory_one_flip_per_block_costs_nothing(dtype: str) -> None:
    weight = torch.randn(50, 20, generator=torch.Generator().manual_seed(2)) * 0.1
    storage = Storage(FORMATS.make(dtype), (METHODS.make("secded"),))
    stored = write("w", weight, storage)
    payload = stored.fields["payload"]
    assert stored.check_bits == -(-payload.bits // 64) * 8
    every = torch.arange(0, payload.bits - 63, 64)
    hit = {**stored.fields, "payload": flip(payload, every + every // 64 % 64)}
    reading = read(stored, hit, storage)
    assert torch.equal(reading.weight, stored.clean)
    assert reading.detected == 0
    assert 0 < reading.corrected <= every.numel()


def test_faults_reach_the_check_words_at_the_same_rate() -> None:
    storage = Storage(FORMATS.make("fp32"), (METHODS.make("secded"),))
    stored = write("w", torch.ones(100_000), storage)
    faults = corrupt(stored, choose([stored], FAULTS.make("bit_flip"), storage, ber=1e-2, seed=0))
    flipped = (faults.fields["check0"].data ^ stored.fields["check0"].data).numpy()
    count, bits = int(np.unpackbits(flipped).sum()), stored.check_bits
    assert bits == 400_000
    assert abs(count - bits * 1e-2) < 6 * math.sqrt(bits * 1e-2)

"""In-place ECC, against a parity-check matrix in numpy and a loop over Python integers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from campaign.bits import Words, flip, mask_to_width
from campaign.bits.spare import _code
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.trial.memory import Storage, read, write

METHOD = METHODS.make("in_place_ecc")
KEEP = METHODS.make("in_place_ecc", {"on_double": "keep"})
SPARE = [8 * byte + 6 for byte in range(7)]
COLUMNS = np.array([[column >> row & 1 for column in _code().columns] for row in range(7)])


def random_words(count: int, seed: int = 0) -> Words:
    generator = torch.Generator().manual_seed(seed)
    return mask_to_width(torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator), 8)


def adapted(count: int, seed: int = 0) -> Words:
    return METHOD.adapt(random_words(count, seed))


def stored(words: Words) -> Words:
    payload, check = METHOD.encode(words)
    assert check is None
    return payload


def bits(words: Words) -> np.ndarray:
    return np.unpackbits(words.data.numpy(), bitorder="little").reshape(-1, 64)


def number(code: int) -> int:
    return code - 256 if code > 127 else code


def test_the_columns_are_all_words_of_odd_weight_and_units_at_the_spare_bits() -> None:
    assert {int(c) for c in COLUMNS.sum(0)} == {1, 3, 5, 7}
    assert len({tuple(column) for column in COLUMNS.T}) == 64
    assert (COLUMNS[:, SPARE] == np.eye(7)).all()
    assert set(COLUMNS.sum(1)) == {32}  # balanced rows


def test_adapting_saturates_seven_words_of_eight_and_no_tail() -> None:
    words = random_words(8 * 50 + 5)
    expected = [
        number(code) if place % 8 == 7 or place >= 400 else min(max(number(code), -64), 63)
        for place, code in enumerate(words.data.tolist())
    ]
    assert [number(code) for code in METHOD.adapt(words).data.tolist()] == expected


def test_stored_blocks_are_codewords_and_differ_in_spare_bits_only() -> None:
    words = adapted(8 * 500)
    held = bits(stored(words))
    assert not (held @ COLUMNS.T % 2).any()
    data = np.setdiff1d(np.arange(64), SPARE)
    assert (held[:, data] == bits(words)[:, data]).all()
    assert METHOD.check_bits(4000, 8) == 0


def test_every_single_error_of_a_block_is_corrected() -> None:
    words = adapted(8 * 64)
    found = METHOD.decode(flip(stored(words), torch.arange(64) * 65), None)
    assert torch.equal(found.words.data, words.data)
    assert (found.corrected, found.detected) == (57, 0)  # check bits are no part of a word


def test_every_double_error_is_detected() -> None:
    pairs = list(combinations(range(64), 2))
    words = Words(adapted(8).data.repeat(len(pairs)), 8)
    wrong = flip(stored(words), torch.tensor([64 * i + b for i, p in enumerate(pairs) for b in p]))
    found = METHOD.decode(wrong, None)
    assert not bool(found.words.data.any())
    assert (found.corrected, found.detected) == (0, 8 * len(pairs))
    kept = KEEP.decode(wrong, None)
    assert (kept.corrected, kept.detected) == (0, 8 * len(pairs))
    signs = bits(wrong)
    signs[:, SPARE] = signs[:, [place + 1 for place in SPARE]]
    assert (bits(kept.words) == signs).all()


def test_triple_errors_are_decoded_as_the_matrix_says() -> None:
    rng, count = np.random.default_rng(4), 2000
    patterns = [rng.choice(64, 3, replace=False) for _ in range(count)]
    words = adapted(8 * count)
    positions = torch.tensor(np.concatenate([64 * i + p for i, p in enumerate(patterns)]))
    wrong = flip(stored(words), positions)
    expected = bits(wrong)
    columns = [tuple(column) for column in COLUMNS.T]
    for block, pattern in zip(expected, patterns, strict=True):
        block[columns.index(tuple(COLUMNS[:, pattern].sum(1) % 2))] ^= 1
    expected[:, SPARE] = expected[:, [place + 1 for place in SPARE]]
    found = METHOD.decode(wrong, None)
    assert (bits(found.words) == expected).all()
    assert found.detected == 0


def test_the_tail_of_a_tensor_passes_as_it_is() -> None:
    words = adapted(8 * 2 + 7)
    wrong = flip(stored(words), torch.arange(128, 128 + 56, 8))
    found = METHOD.decode(wrong, None)
    assert torch.equal(found.words.data[:16], words.data[:16])
    assert torch.equal(found.words.data[16:], words.data[16:] ^ 1)
    assert (found.corrected, found.detected) == (0, 0)


@pytest.mark.parametrize("dtype", ["int8", "q2_5", "q0_7", "mxint8"])
def test_in_memory_one_flip_in_each_block_costs_nothing(dtype: str) -> None:
    storage = Storage(FORMATS.make(dtype), (METHOD,))
    weight = torch.randn(40, 20, generator=torch.Generator().manual_seed(2)) * 0.1
    held = write("w", weight, storage)
    assert held.check_bits == 0
    every = torch.arange(0, 40 * 20 * 8, 64)
    hit = {**held.fields, "payload": flip(held.fields["payload"], every + every // 64 % 64)}
    reading = read(held, hit, storage)
    assert torch.equal(reading.weight, held.clean)
    assert reading.detected == 0
    assert reading.corrected > 0


@pytest.mark.parametrize("other", ["parity", "secded", "nmr", "msb_copy"])
@pytest.mark.parametrize("first", [True, False])
def test_other_codes_fit_before_and_after_it(other: str, first: bool) -> None:
    stack = (METHOD, METHODS.make(other)) if first else (METHODS.make(other), METHOD)
    storage = Storage(FORMATS.make("int8"), stack)
    held = write("w", torch.randn(100, generator=torch.Generator().manual_seed(4)), storage)
    reading = read(held, held.fields, storage)
    assert (reading.corrected, reading.detected) == (0, 0)
    assert torch.equal(reading.weight, held.clean)


@pytest.mark.parametrize("dtype", ["fp32", "int4", "q3_12", "fp8_e4m3fn", "mxfp4"])
def test_words_without_a_spare_bit_are_refused(dtype: str) -> None:
    assert "8 bits in two's complement" in str(METHOD.refusal(FORMATS.make(dtype)))


def test_unsigned_storage_and_the_clearing_of_other_numbers_are_refused() -> None:
    unsigned = FORMATS.make("int8", {"storage": "unsigned"})
    assert "two's complement" in str(KEEP.refusal(unsigned))
    asymmetric = FORMATS.make("int8", {"scheme": "asymmetric"})
    assert "cleared word" in str(METHOD.refusal(asymmetric))
    assert KEEP.refusal(asymmetric) is None


def test_two_of_them_in_a_stack_are_refused() -> None:
    assert METHOD.misfit((), ("weights",)) is None
    assert "spare bits" in str(METHOD.misfit((METHODS.make("parity"), KEEP), ("weights",)))

"""What never flips: payload bits with their copies, check words, and stored scales."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from campaign.bits import Words
from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS, Method
from campaign.spec.exposure import Exempt
from campaign.trial.memory import (
    Storage,
    Stored,
    choose,
    corrupt,
    exposed_bits,
    read,
    write,
)
from campaign.trial.touched import Reader

FLIPS = FAULTS.make("bit_flip")
COUNT = 2000
Bits = tuple[int | str, ...]
EXPONENT, SIGN = set(range(10, 15)), {15}


def memory(
    dtype: str, *methods: Method, bits: Bits = (), only: Bits = ()
) -> tuple[Stored, Storage]:
    """Gaussian weights in memory."""
    fmt = FORMATS.make(dtype)
    storage = Storage(fmt, methods, exempt=Exempt.of(fmt, bits, only))
    weight = torch.randn(50, COUNT // 50, generator=torch.Generator().manual_seed(0)) * 0.1
    return write("w", weight, storage), storage


def flipped_bits(words: Words, struck: Words) -> set[int]:
    """Bit positions within a word that differ anywhere, counted in numpy."""
    mask = (1 << words.width) - 1
    changed: NDArray[np.int64] = (words.data ^ struck.data).numpy().astype(np.int64) & mask
    return {bit for bit in range(words.width) if (changed >> bit & 1).any()}


def flips(stored: Stored, storage: Storage) -> dict[str, set[int]]:
    """Which bits of the words of each field flip at a rate at which all that may do."""
    faults = corrupt(stored, choose([stored], FLIPS, storage, ber=0.3, seed=1))
    return {f: flipped_bits(words, faults.fields[f]) for f, words in stored.fields.items()}


COPIES = {
    "nmr": ({}, 2 * COUNT, list(range(16))),
    "nmr by median": ({"vote": "median", "copies": 5}, 4 * COUNT, list(range(16))),
    "selective": ({}, 2 * COUNT, list(range(10, 16))),
    "msb_copy": ({"bits": 3}, 2 * COUNT, [13, 14, 15]),
    "msb_copy twice": ({"bits": 3, "copies": 2}, COUNT, [13, 14, 15]),
    "selective_words": ({"share": 0.1}, 2 * COUNT // 10, list(range(16))),
}
"""Options, check words, and the payload bit that each bit of a check word repeats."""
CHOICES: dict[str, tuple[Bits, Bits, set[int]]] = {
    "exempt": (("exponent", "sign"), (), set(range(10))),
    "only": ((), ("exponent",), EXPONENT),
    "only, some exempt": (("exponent_msb",), ("exponent", 0), (EXPONENT | {0}) - {14}),
}
"""Exempt bits, only bits, and the payload bits that may flip."""


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("case", COPIES)
def test_a_copy_flips_where_the_bit_it_repeats_may(case: str, choice: str) -> None:
    (options, count, copied), (bits, only, may) = COPIES[case], CHOICES[choice]
    stored, storage = memory("fp16", METHODS.make(case.split()[0], options), bits=bits, only=only)
    expected = {place for place, bit in enumerate(copied) if bit in may}
    assert flips(stored, storage) == {"payload": may, "check0": expected}
    assert exposed_bits(stored, storage) == COUNT * len(may) + count * len(expected)


def error(name: str, *, bits: Bits = (), only: Bits = (), ber: float) -> float:
    """Wrong bits of the words as read: their share of the exposed bits of the payload."""
    stored, storage = memory("fp16", METHODS.make(name), bits=bits, only=only)
    wrong = 0
    for seed in range(20):
        faults = corrupt(stored, choose([stored], FLIPS, storage, ber=ber, seed=seed))
        reading = read(stored, faults.fields, storage).weight.half().view(torch.int16)
        changed = (reading ^ stored.clean.half().view(torch.int16)).numpy().view(np.uint16)
        wrong += int(np.unpackbits(changed.reshape(-1).view(np.uint8)).sum())
    return wrong / (20 * COUNT * (16 - len(storage.exempt.payload)))


@pytest.mark.parametrize(
    ("bits", "only"), [((), ()), (("exponent", "sign"), ()), ((), ("mantissa",))]
)
def test_copies_correct_as_the_closed_form_says_whatever_is_exempt(bits: Bits, only: Bits) -> None:
    """A bit of three copies is wrong with 3p^2 - 2p^3; exempt bits of none are wrong at all."""
    ber = 0.03
    exposed = 16 - len(Exempt.of(FORMATS.make("fp16"), bits, only).payload)
    residual = 3 * ber**2 - 2 * ber**3
    bound = 6 * (residual / (20 * COUNT * exposed)) ** 0.5
    found = error("nmr", bits=bits, only=only, ber=ber)
    if bits or only:  # else NaN may lose its payload on the way to float32 and back
        assert abs(found - residual) < bound
    assert found < error("none", bits=bits, only=only, ber=ber) / 5


def test_check_bits_that_repeat_nothing_flip_unless_only_some_bits_do() -> None:
    for name in ("parity", "secded", "bch"):
        stored, storage = memory("fp16", METHODS.make(name), bits=("exponent",))
        width = stored.fields["check0"].width
        assert flips(stored, storage)["check0"] == set(range(width)), name
        stored, storage = memory("fp16", METHODS.make(name), only=("exponent",))
        assert flips(stored, storage) == {"payload": EXPONENT, "check0": set()}, name
        assert exposed_bits(stored, storage) == COUNT * 5


FIELDS: dict[str, tuple[Bits, Bits, tuple[int, int, int, int]]] = {
    "only scale": ((), ("scale",), (0, 8, 0, 0)),
    "only checks": ((), ("checks",), (0, 0, 1, 8)),
    "only checks, sign exempt": (("sign",), ("checks",), (0, 0, 1, 7)),
    "only checks and sign": ((), ("checks", "sign"), (1, 0, 1, 8)),
    "only sign": ((), ("sign",), (1, 0, 0, 1)),
    "only sign and scale": ((), ("sign", "scale"), (1, 8, 0, 1)),
    "no scale": (("scale",), (), (8, 0, 1, 8)),
    "no checks": (("checks",), (), (8, 8, 0, 0)),
    "no checks nor sign": (("checks", "sign"), (), (7, 8, 0, 0)),
    "only sign, no checks": (("checks",), ("sign",), (1, 0, 0, 0)),
}
"""Exempt bits, only bits, and bits that may flip: of payload, scale, parity word and copy."""


@pytest.mark.parametrize("case", FIELDS)
def test_scales_and_check_words_are_chosen_by_name(case: str) -> None:
    bits, only, widths = FIELDS[case]
    stack = METHODS.make("parity"), METHODS.make("nmr")
    stored, storage = memory("mxfp8_e4m3", *stack, bits=bits, only=only)
    found = {field: len(places) for field, places in flips(stored, storage).items()}
    assert found == dict(zip(("payload", "scale", "check0", "check1"), widths, strict=True))
    scales = stored.fields["scale"].data.numel()
    counts = (COUNT, scales, COUNT, 2 * COUNT)
    assert exposed_bits(stored, storage) == int(np.dot(counts, widths))


@pytest.mark.parametrize("only", [("exponent",), ("scale",), ("checks",)])
def test_the_sparse_reading_of_what_flips_is_that_of_all(only: Bits) -> None:
    stored, storage = memory("mxfp8_e4m3", METHODS.make("nmr"), only=only)
    chosen = choose([stored], FLIPS, storage, ber=0.02, seed=3)
    faults = corrupt(stored, chosen)
    found = Reader(stored, storage, most=float("inf")).reread(chosen)
    assert found is not None
    assert found.flipped_bits == faults.flipped_bits > 0
    whole = read(stored, faults.fields, storage).weight
    assert torch.equal(found.whole(stored.clean).nan_to_num(9.0), whole.nan_to_num(9.0))


def test_scales_of_a_format_that_stores_none_are_refused() -> None:
    with pytest.raises(ValueError, match="fp16 has no bit 'scale'"):
        Exempt.of(FORMATS.make("fp16"), ("scale",))

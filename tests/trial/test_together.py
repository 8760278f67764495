"""Few flips of many parameters at once, against a loop over the bits of Python integers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from campaign.bits import Words, mask_to_width
from campaign.faults import FAULTS, FieldKey
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.trial.memory import Storage, Stored, choose, corrupt, read, write
from campaign.trial.together import Readers
from campaign.trial.touched import Reader, Touched

FLIPS = FAULTS.make("bit_flip")
SHAPES = {"conv": (4, 3, 3, 3), "bias": (7,), "scalar": (), "fc": (5, 37), "last": (9, 11)}
JOINED = ["fp64", "fp32", "fp16", "bf16", "fp8_e4m3fn", "fp8_e5m2", "q2_5", "q3_8", "q15_16"]
APART = ["int8", "mxfp8_e5m2"]
Chosen = Mapping[FieldKey, NDArray[np.int64]]


def memory(dtype: str, nonfinite: str, *methods: str) -> tuple[dict[str, Stored], Storage]:
    """Some parameters, one of them not in the order of memory."""
    stack = tuple(METHODS.make(name) for name in methods)
    storage = Storage(FORMATS.make(dtype), stack, nonfinite)
    generator = torch.Generator().manual_seed(1)
    weights = {n: torch.randn(s, generator=generator) * 0.1 + 0.05 for n, s in SHAPES.items()}
    weights["conv"] = weights["conv"].contiguous(memory_format=torch.channels_last)
    return {name: write(name, weight, storage) for name, weight in weights.items()}, storage


def flipped(words: Words, positions: list[int]) -> Words:
    """Bit by bit."""
    codes = [value % (1 << words.width) for value in words.data.reshape(-1).tolist()]
    for position in positions:
        codes[position // words.width] ^= 1 << position % words.width
    top = 1 << 63
    low = [(code + top) % (1 << 64) - top for code in codes]
    return mask_to_width(torch.tensor(low).reshape(words.data.shape), words.width)


def expected(stored: Stored, storage: Storage, chosen: Chosen) -> tuple[torch.Tensor, int]:
    """The whole weight under flips, and how many of its numbers are not finite."""
    held = stored.fields
    fields = {
        field: flipped(words, chosen.get(FieldKey(stored.name, field), np.empty(0)).tolist())
        for field, words in held.items()
    }
    found = read(stored, fields, storage)
    return found.weight, found.nonfinite


def same_but_for_nan(a: torch.Tensor, b: torch.Tensor) -> bool:
    bits = a.contiguous().view(torch.int32) == b.contiguous().view(torch.int32)
    return bool((bits | (a.isnan() & b.isnan())).all())


def reread(stored: Mapping[str, Stored], storage: Storage, chosen: Chosen) -> dict[str, Touched]:
    readers = Readers({name: Reader(held, storage) for name, held in stored.items()})
    return dict(readers.reread(chosen))


@pytest.mark.parametrize("nonfinite", ["propagate", "zero", "clamp"])
@pytest.mark.parametrize("dtype", [*JOINED, *APART])
def test_parameters_read_at_once_are_those_of_a_loop_over_bits(dtype: str, nonfinite: str) -> None:
    stored, storage = memory(dtype, nonfinite)
    seen = 0
    for rate, seed in [(1e-3, 1), (1e-3, 2), (0.01, 3), (0.2, 4), (0.0, 5)]:
        chosen = choose(stored.values(), FLIPS, storage, ber=rate, seed=seed)
        found = reread(stored, storage, chosen)
        hit = {key.tensor for key, positions in chosen.items() if positions.size}
        assert list(found) == [name for name in stored if name in hit]
        for name, touched in found.items():
            whole, count = expected(stored[name], storage, chosen)
            assert same_but_for_nan(touched.whole(stored[name].clean), whole), (name, rate)
            assert (touched.corrected, touched.detected, touched.nonfinite) == (0, 0, count)
            assert touched[:3] == corrupt(stored[name], chosen)[1:]
            clean = stored[name].clean
            assert touched.changes == (not torch.equal(whole, clean))
            places = touched.places.flat
            before = clean.reshape(-1)[... if places is None else places]
            assert torch.equal(touched.places.clean.reshape(-1), before)
            seen += touched.flipped_bits
    assert seen > 100


@pytest.mark.parametrize("dtype", JOINED)
def test_words_that_are_numbers_as_they_stand_are_joined(dtype: str) -> None:
    stored, storage = memory(dtype, "zero")
    assert all(Reader(held, storage).joins for held in stored.values())


@pytest.mark.parametrize(("dtype", "methods"), [("int8", ()), ("fp32", ("secded",))])
def test_words_with_scales_or_codes_are_not(dtype: str, methods: tuple[str, ...]) -> None:
    stored, storage = memory(dtype, "zero", *methods)
    assert not any(Reader(held, storage).joins for held in stored.values())


def test_weights_that_are_not_finite_are_met_in_their_own_parameter() -> None:
    stored, storage = memory("fp32", "clamp")
    code = int(stored["fc"].fields["payload"].data.reshape(-1)[2])
    zeros = [2 * 32 + bit for bit in range(23, 31) if not code >> bit & 1]
    chosen = {
        FieldKey("bias", "payload"): np.array([0, 5]),
        FieldKey("fc", "payload"): np.array([*zeros, 200]),
    }
    found = reread(stored, storage, chosen)
    assert (found["bias"].nonfinite, found["fc"].nonfinite) == (0, 1)
    assert float(found["fc"].weight[0].abs()) in (0.0, stored["fc"].largest)


@pytest.mark.parametrize("positions", [[-1, 3], [5, 7 * 32], [300, 2], [4, 300, 2]])
def test_positions_of_another_parameter_are_refused(positions: list[int]) -> None:
    stored, storage = memory("fp32", "zero")
    chosen = {
        FieldKey("conv", "payload"): np.array([1, 2]),
        FieldKey("bias", "payload"): np.array(positions),
    }
    with pytest.raises(ValueError, match=r"allowed 0\.\.223"):
        reread(stored, storage, chosen)


def test_a_position_that_stands_twice_is_refused() -> None:
    stored, storage = memory("fp32", "zero")
    chosen = {
        FieldKey("conv", "payload"): np.array([1, 2]),
        FieldKey("bias", "payload"): np.array([9, 9]),
    }
    with pytest.raises(ValueError, match="stands twice"):
        reread(stored, storage, chosen)


def test_positions_in_any_order_are_those_in_order() -> None:
    stored, storage = memory("fp16", "zero")
    chosen = choose(stored.values(), FLIPS, storage, ber=0.05, seed=1)
    mixed = {key: np.random.default_rng(0).permutation(held) for key, held in chosen.items()}
    found, same = reread(stored, storage, chosen), reread(stored, storage, mixed)
    assert list(found) == list(same) == list(SHAPES)
    for name, touched in found.items():
        assert touched[:6] == same[name][:6]
        assert same_but_for_nan(touched.weight, same[name].weight)

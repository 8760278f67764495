"""Scales that a number format stores: counted, hit by faults of their own, read as struck."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from campaign.bits import Words, flip, popcount
from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS, Method
from campaign.spec.exposure import Exempt
from campaign.trial.memory import (
    Faults,
    Storage,
    Stored,
    choose,
    corrupt,
    exposed_bits,
    read,
    write,
)

FLIPS = FAULTS.make("bit_flip")
WIDTHS = {"mxfp8_e4m3": 8, "mxfp6_e2m3": 6, "mxfp4": 4, "mxint8": 8}


def stored_as(dtype: str, *shape: int, stack: tuple[Method, ...] = ()) -> tuple[Stored, Storage]:
    """Gaussian weights in memory."""
    storage = Storage(FORMATS.make(dtype), stack)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return write("fc.weight", values, storage), storage


def struck(stored: Stored, ber: float, seed: int) -> Faults:
    """Faults in every field."""
    storage = Storage(FORMATS.make("fp32"))
    return corrupt(stored, choose([stored], FLIPS, storage, ber=ber, seed=seed))


def flipped(stored: Stored, faults: Faults, field: str) -> torch.Tensor:
    """The XOR with the stored image."""
    return stored.fields[field].data ^ faults.fields[field].data


@pytest.mark.parametrize("dtype", WIDTHS)
def test_stored_bits_are_elements_of_their_true_width_and_8_bits_a_block(dtype: str) -> None:
    stored, _ = stored_as(dtype, 10, 3, 5, 5)  # 75 weights a channel: 3 blocks
    assert stored.fields["scale"].data.shape == (10, 3)
    assert stored.stored_bits == 750 * WIDTHS[dtype] + 30 * 8
    assert stored.check_bits == 0
    assert stored.scale is None
    sign = Exempt.of(FORMATS.make(dtype), ("sign",))
    assert (
        exposed_bits(stored, Storage(FORMATS.make(dtype), exempt=sign)) == stored.stored_bits - 750
    )


def test_check_bits_of_methods_are_counted_apart_from_scales() -> None:
    stored, storage = stored_as("mxfp4", 4, 64, stack=(METHODS.make("parity"),))
    assert list(stored.fields) == ["payload", "scale", "check0"]
    assert (stored.stored_bits, stored.check_bits) == (256 * 4 + 8 * 8, 256)
    assert torch.equal(read(stored, stored.fields, storage).weight, stored.clean)


def test_formats_with_protected_scales_have_no_such_field() -> None:
    for dtype in ("fp32", "int8", "q2_5"):
        assert list(stored_as(dtype, 4, 40)[0].fields) == ["payload"]


def test_faults_hit_scale_bits_at_the_bit_error_rate() -> None:
    stored, _ = stored_as("mxfp4", 64, 320)
    bits, ber, seeds = 64 * 10 * 8, 0.01, 40
    hits = torch.zeros(8, dtype=torch.int64)
    for seed in range(seeds):
        difference = flipped(stored, struck(stored, ber, seed), "scale").reshape(-1)
        hits += torch.stack([(difference >> bit & 1).sum() for bit in range(8)])
    mean = bits / 8 * ber * seeds
    sigma = math.sqrt(mean * (1 - ber))
    assert bool(((hits - mean).abs() < 6 * sigma).all())


def test_faults_in_scales_are_nested_across_ber() -> None:
    stored, _ = stored_as("mxfp8_e4m3", 64, 320)
    seen = [
        flipped(stored, struck(stored, ber, 3), "scale") for ber in (1e-3, 3e-3, 1e-2, 0.1, 0.5)
    ]
    for smaller, larger in itertools.pairwise(seen):
        assert torch.equal(smaller & larger, smaller)
    assert bool(seen[0].any())


@pytest.mark.parametrize(("dtype", "plain"), [("mxfp8_e4m3", "fp8_e5m2"), ("mxfp4", "int4")])
def test_payload_faults_are_those_of_a_format_of_equal_width_without_scales(
    dtype: str, plain: str
) -> None:
    patterns = []
    for name in (dtype, plain):
        stored, _ = stored_as(name, 64, 64)
        patterns.append(flipped(stored, struck(stored, 0.01, 5), "payload"))
    assert torch.equal(*patterns)
    assert bool(patterns[0].any())


def test_flips_in_scales_are_counted_and_have_a_fingerprint() -> None:
    stored, _ = stored_as("mxfp6_e2m3", 64, 64)
    faults = struck(stored, 0.02, 1)
    changed = [popcount(Words(flipped(stored, faults, f), 8)) for f in ("payload", "scale")]
    assert faults.flipped_bits == sum(int(count.sum()) for count in changed)
    assert faults.flipped_words == sum(int((count > 0).sum()) for count in changed)
    assert bool(changed[1].any())
    assert faults.digest != struck(stored, 0.02, 2).digest


def test_a_struck_scale_changes_its_own_block_and_its_top_code_makes_the_block_nan() -> None:
    stored, storage = stored_as("mxint8", 3, 64)
    scale = stored.fields["scale"]
    code = int(scale.data[1, 0])
    bits = [bit for bit in range(8) if not code >> bit & 1]  # those that lead to 255
    word = 1 * 2 + 0
    fields = {**stored.fields, "scale": flip(scale, torch.tensor([word * 8 + bit for bit in bits]))}
    found = read(stored, fields, storage)
    assert found.nonfinite == 32
    expected = stored.clean.clone()
    expected[1, :32] = torch.nan
    assert torch.equal(found.weight.nan_to_num(nan=9.0), expected.nan_to_num(nan=9.0))
    zeroed = read(stored, fields, Storage(storage.dtype, (), "zero"))
    assert not bool(zeroed.weight[1, :32].any())

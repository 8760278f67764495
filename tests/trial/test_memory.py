"""Write, corrupt and read, against short numpy loops."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from campaign.bits import Words, mask_to_width
from campaign.faults import FAULTS
from campaign.formats import FORMATS, NumberFormat
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

DTYPES = ["fp64", "fp32", "fp16", "bf16", "fp8_e4m3fn", "fp8_e5m2fnuz"]
DTYPES += ["int8", "int4", "rquant8", "q2_5", "q3_12", "q15_16", "mxfp8_e5m2", "mxfp4"]
SETTINGS = {"rquant8": ("int8", {"scheme": "robust", "storage": "unsigned"})}
FLIPS = FAULTS.make("bit_flip")


def made(dtype: str) -> NumberFormat:
    """The format that a spec calls `dtype`, or names in `SETTINGS`."""
    return FORMATS.make(*SETTINGS.get(dtype, (dtype, {})))


def methods_for(fmt: NumberFormat) -> list[Method]:
    """Every registered method with its defaults, t set, that has a meaning for `fmt`."""
    made = [
        METHODS.make(name, {"t": 0.5} if METHODS.find(name)[0].takes_t else {})
        for name in METHODS.names()
    ]
    return [method for method in made if method.refusal(fmt) is None]


def flipped(stored: Stored, *, ber: float, seed: int, exempt: Exempt | None = None) -> Faults:
    """Independent flips in a memory of one parameter."""
    storage = Storage(FORMATS.make("fp32"), exempt=exempt or Exempt())
    return corrupt(stored, choose([stored], FLIPS, storage, ber=ber, seed=seed))


def weight(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).mul_(0.2).clamp_(-0.9, 0.9)


def stacks(fmt: NumberFormat) -> Iterator[tuple[Method, ...]]:
    single = methods_for(fmt)
    yield ()
    for first in single:
        yield (first,)
        yield from (
            (first, second)
            for second in single
            if second is not first
            and not (first.takes_t and second.takes_t)
            and second.misfit((first,), ("weights",)) is None
        )


def changes_what_is_stored(method: Method, fmt: NumberFormat) -> bool:
    """Whether it transforms the value or gives up bits of it."""
    return (
        method.name in ("saf", "trained_saf", "weight_scaling", "weight_clipping")
        or type(method.bind(fmt)).adapt is not Method.adapt
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_without_faults_a_weight_reads_back_as_stored_to_the_bit(dtype: str) -> None:
    fmt = made(dtype)
    alone = {}
    for stack in stacks(fmt):
        name = "+".join(method.name for method in stack)
        stored = write("w", weight(8, 3, 3, 3), Storage(fmt, stack))
        for nonfinite in ("propagate", "zero", "clamp"):
            found = read(stored, stored.fields, Storage(fmt, stack, nonfinite))
            assert torch.equal(found.weight.view(torch.int32), stored.clean.view(torch.int32)), name
            assert (found.corrected, found.detected, found.nonfinite) == (0, 0, 0), name
        bare = tuple(m for m in stack if changes_what_is_stored(m, fmt))
        if bare not in alone:
            alone[bare] = write("w", weight(8, 3, 3, 3), Storage(fmt, bare)).clean.view(torch.int32)
        assert torch.equal(alone[bare], stored.clean.view(torch.int32)), name


def test_storage_binds_its_methods_to_the_format() -> None:
    storage = Storage(FORMATS.make("fp16"), (METHODS.make("selective"),))
    assert storage.stack == (METHODS.make("selective").bind(FORMATS.make("fp16")),)
    stored = write("w", weight(10), storage)
    assert (stored.fields["check0"].width, stored.check_bits) == (6, 2 * 6 * 10)


def image(words: Words) -> np.ndarray:
    """Every stored bit, (words, width), least significant first, by Python integers."""
    mask = (1 << words.width) - 1
    values = [int(v) & mask for v in words.data.reshape(-1).tolist()]
    return np.array([[v >> b & 1 for b in range(words.width)] for v in values])


@pytest.mark.parametrize("dtype", DTYPES)
def test_flips_are_counted_as_a_bit_by_bit_comparison_counts_them(dtype: str) -> None:
    storage = Storage(made(dtype), (METHODS.make("parity"),))
    stored = write("w", weight(40, 10), storage)
    faults = flipped(stored, ber=0.02, seed=3)
    different = {f: image(stored.fields[f]) != image(faults.fields[f]) for f in stored.fields}
    assert faults.flipped_bits == sum(int(d.sum()) for d in different.values()) > 0
    assert faults.flipped_words == sum(int(d.any(1).sum()) for d in different.values())
    assert different["check0"].any()


def test_the_stored_image_is_never_changed_by_a_fault() -> None:
    storage = Storage(FORMATS.make("fp16"))
    stored = write("w", weight(30, 30), storage)
    before = image(stored.fields["payload"])
    flipped(stored, ber=0.1, seed=1)
    assert (image(stored.fields["payload"]) == before).all()


def test_payload_faults_do_not_depend_on_the_method() -> None:
    value = weight(50, 20)
    seen = []
    for names in ([], ["range_clamp"], ["parity"], ["saf", "parity"]):
        storage = Storage(FORMATS.make("fp32"), tuple(METHODS.make(n) for n in names))
        stored = write("w", value, storage)
        faults = flipped(stored, ber=0.01, seed=5)
        seen.append(image(stored.fields["payload"]) ^ image(faults.fields["payload"]))
    assert all((pattern == seen[0]).all() for pattern in seen)
    assert seen[0].any()


def test_formats_of_equal_width_get_the_same_faults_and_others_do_not() -> None:
    def pattern(dtype: str) -> np.ndarray:
        stored = write("w", weight(50, 20), Storage(made(dtype)))
        faults = flipped(stored, ber=0.01, seed=5)
        return image(stored.fields["payload"]) ^ image(faults.fields["payload"])

    assert (pattern("fp16") == pattern("bf16")).all()
    assert (pattern("int8") == pattern("q2_5")).all()
    assert pattern("fp16").shape != pattern("q2_5").shape


def test_flips_are_nested_across_ber_for_one_seed() -> None:
    stored = write("w", weight(100, 20), Storage(FORMATS.make("fp32")))
    clean = image(stored.fields["payload"])
    bers = [1e-5, 1e-4, 3e-4, 1e-3, 1e-2, 0.1]
    seen = [clean ^ image(flipped(stored, ber=b, seed=9).fields["payload"]) for b in bers]
    for smaller, larger in itertools.pairwise(seen):
        assert (larger[smaller == 1] == 1).all()


def test_exempt_bits_never_flip_and_leave_the_denominator() -> None:
    fmt = FORMATS.make("fp32")
    exempt = Exempt.of(fmt, ("exponent_msb", 0))
    assert exempt.payload == {30, 0}
    stored = write("w", weight(100, 10), Storage(fmt, exempt=exempt))
    faults = flipped(stored, ber=0.3, seed=0, exempt=exempt)
    changed = image(stored.fields["payload"]) ^ image(faults.fields["payload"])
    assert not changed[:, [0, 30]].any()
    assert changed[:, [1, 29, 31]].any(0).all()
    assert exposed_bits(stored, Storage(fmt, exempt=exempt)) == 1000 * 30
    every = flipped(stored, ber=0.3, seed=0)
    both = image(stored.fields["payload"]) ^ image(every.fields["payload"])
    both[:, [0, 30]] = 0
    assert (both == changed).all()


def test_bits_outside_of_only_bits_and_check_words_never_flip() -> None:
    fmt = FORMATS.make("fp16")
    exempt = Exempt.of(fmt, (14,), only=("exponent", 0))
    assert exempt.payload == set(range(16)) - {0, 10, 11, 12, 13}
    storage = Storage(fmt, (METHODS.make("parity"),), exempt=exempt)
    stored = write("w", weight(100, 10), storage)
    faults = corrupt(stored, choose([stored], FLIPS, storage, ber=0.3, seed=0))
    changed = image(stored.fields["payload"]) ^ image(faults.fields["payload"])
    assert np.flatnonzero(changed.any(0)).tolist() == [0, 10, 11, 12, 13]
    assert faults.fields["check0"] is stored.fields["check0"]
    assert exposed_bits(stored, storage) == 1000 * 5


def test_equal_faults_have_equal_digests_and_others_differ() -> None:
    stored = write("w", weight(30, 30), Storage(FORMATS.make("fp32")))

    def digest(seed: int, ber: float) -> bytes:
        return flipped(stored, ber=ber, seed=seed).digest

    assert digest(1, 0.01) == digest(1, 0.01)
    assert len({digest(1, 0.01), digest(2, 0.01), digest(1, 0.02)}) == 3
    assert digest(1, 0.0) == b""


def with_patterns(stored: Stored, patterns: list[float]) -> dict[str, Words]:
    data = stored.fields["payload"].data.clone()
    data.view(-1)[: len(patterns)] = torch.tensor(patterns).view(torch.int32)
    return {"payload": Words(data, 32)}


@pytest.mark.parametrize(
    ("nonfinite", "expected"),
    [
        ("propagate", [math.nan, math.inf, -math.inf]),
        ("zero", [0.0, 0.0, 0.0]),
        ("clamp", [0.0, 0.75, -0.75]),
    ],
)
def test_the_nonfinite_policy_decides_what_nan_and_infinity_read_as(
    nonfinite: str, expected: list[float]
) -> None:
    storage = Storage(FORMATS.make("fp32"), (), nonfinite)
    stored = write("w", torch.tensor([0.5, -0.75, 0.25, 0.1]), storage)
    fields = with_patterns(stored, [math.nan, math.inf, -math.inf])
    found = read(stored, fields, storage)
    assert found.nonfinite == 3
    torch.testing.assert_close(
        found.weight, torch.tensor([*expected, 0.1]), equal_nan=True, rtol=0, atol=0
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_image_of_any_stack_reads_without_an_error(dtype: str) -> None:
    fmt = made(dtype)
    generator = torch.Generator().manual_seed(4)
    for method in methods_for(fmt):
        storage = Storage(fmt, (method,), "zero")
        stored = write("w", weight(64, 64), storage)
        fields = {
            name: mask_to_width(
                torch.randint(-(2**62), 2**62, words.data.shape, generator=generator), words.width
            )
            for name, words in stored.fields.items()
        }
        assert bool(read(stored, fields, storage).weight.isfinite().all())


def test_a_weight_that_cannot_be_stored_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match=r"conv\.weight: the trained weight holds NaN"):
        write("conv.weight", torch.tensor([1.0, math.nan]), Storage(FORMATS.make("fp32")))
    with pytest.raises(ValueError, match=r"conv\.weight: saf tanh: max\|W\| = 1\.5"):
        write(
            "conv.weight",
            torch.tensor([1.5]),
            Storage(FORMATS.make("fp32"), (METHODS.make("saf"),)),
        )


def test_parity_in_a_stack_zeroes_the_words_it_detects() -> None:
    storage = Storage(FORMATS.make("fp32"), (METHODS.make("parity"),))
    stored = write("w", weight(100), storage)
    faults = flipped(stored, ber=2e-3, seed=2)
    payload = image(stored.fields["payload"]) ^ image(faults.fields["payload"])
    check = image(stored.fields["check0"]) ^ image(faults.fields["check0"])
    odd = (payload.sum(1) + check.sum(1)) % 2 == 1
    found = read(stored, faults.fields, storage)
    assert found.detected == odd.sum() > 0
    assert (found.weight[torch.from_numpy(odd)] == 0).all()

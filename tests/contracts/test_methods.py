"""What holds for every protection and for every stack of two."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pytest
import torch

from campaign.bits import Words, carrier, flip, mask_to_width
from campaign.formats import FORMATS, NumberFormat
from campaign.methods import METHODS, Method, State

DTYPES = ["fp64", "fp32", "fp16", "bf16", "fp8_e4m3fn", "fp8_e5m2fnuz"]
DTYPES += ["int8", "int4", "rquant8", "q2_5", "q3_12", "q15_16", "mxfp8_e4m3", "mxfp8_e5m2"]
DTYPES += ["mxfp4"]
SETTINGS: dict[str, tuple[str, dict[str, object]]] = {
    "rquant8": ("int8", {"scheme": "robust", "storage": "unsigned"}),
    "int8 asymmetric": ("int8", {"scheme": "asymmetric"}),
    "int8 unsigned": ("int8", {"storage": "unsigned"}),
    "int8 truncated": ("int8", {"rounding": "truncate"}),
    "int8 by channel": ("int8", {"per": "channel"}),
    "int4 by group": ("int4", {"scheme": "asymmetric", "per": "group", "group_size": 5}),
}
"""Formats with options, by the name they have here."""
EVERY = [*DTYPES, "fp8_e5m2", "fp8_e4m3fnuz", "int16", "int3", "int2", "q0_7"]
EVERY += ["mxfp6_e3m2", "mxfp6_e2m3", "mxint8", *(name for name in SETTINGS if name not in DTYPES)]
"""Formats that a method is tried in alone; stacks of two are tried in `DTYPES`."""
Stack = tuple[Method, ...]
WEIGHTS: dict[str, Callable[[], torch.Tensor]] = {
    "convolution": lambda: gaussian(4, 3, 3, 3),
    "linear": lambda: gaussian(6, 9),
    "bias": lambda: gaussian(7),
    "scalar": lambda: torch.tensor(-0.25),
    "zeros": lambda: torch.zeros(3, 4),
    "a row of zeros": lambda: gaussian(3, 4) * torch.tensor([[1.0], [0.0], [1.0]]),
    "negative zeros": lambda: torch.tensor([[-0.0, 0.5], [-0.0, -0.0]]),
    "subnormal": lambda: gaussian(3, 4) * 1e-40,
    "transposed": lambda: gaussian(5, 8).t(),
    "empty": lambda: torch.zeros(0, 3),
}


class Memory(NamedTuple):
    """A weight in memory."""

    adapted: Words
    """The payload before anything was encoded."""
    payload: Words
    checks: list[Words | None]
    scale: torch.Tensor | None
    states: list[State]
    stack: Stack
    """The methods as they act on this weight."""


def made(dtype: str) -> NumberFormat:
    """The format that a spec calls `dtype`, or names in `SETTINGS`."""
    return FORMATS.make(*SETTINGS.get(dtype, (dtype, {})))


def gaussian(*shape: int) -> torch.Tensor:
    """Weights as a trained layer has them."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 0.1


def bound(stack: Stack, fmt: NumberFormat) -> Iterator[Stack]:
    """Bound to `fmt`, with each of two values of t where one is taken; nothing where refused."""
    targets = [0.5, fmt.largest or 1.0] if any(m.takes_t for m in stack) else [None]
    for t in targets:
        given = tuple(dataclasses.replace(m, t=t) if m.takes_t else m for m in stack)
        if all(m.refusal(fmt) is None for m in given):
            yield tuple(m.bind(fmt) for m in given)


def store(weight: torch.Tensor, fmt: NumberFormat, stack: Stack) -> Memory | None:
    """Left to right on the way in; None where a method says that it cannot protect this weight."""
    stack = tuple(method.choose(weight, weight.sin()) for method in stack)
    value, states, checks = weight, [], []
    for method in stack:
        try:
            value, state = method.transform(value)
        except ValueError:
            return None
        states.append(state)
    scale = fmt.calibrate(value)
    payload = fmt.encode(value, scale)
    for method in stack:
        payload = method.adapt(payload)
    adapted = payload
    for method in stack:
        payload, check = method.encode(payload)
        checks.append(check)
    return Memory(adapted, payload, checks, scale, states, stack)


def load(memory: Memory, fmt: NumberFormat, protected: bool) -> torch.Tensor:
    """Right to left on the way out; `protected` adds what decoders and profiles do."""
    payload = memory.payload if protected else memory.adapted
    if protected:
        for method, check in zip(reversed(memory.stack), reversed(memory.checks), strict=True):
            payload, corrected, detected = method.decode(payload, check)
            assert (corrected, detected) == (0, 0), method.label
    value = fmt.decode(payload, memory.scale)
    for method, state in zip(reversed(memory.stack), reversed(memory.states), strict=True):
        known = method.profile(value, state) if protected else state
        value = method.restore(value, known)
    return value


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal to the bit: the sign of zero counts."""
    return torch.equal(a.contiguous().view(torch.int32), b.contiguous().view(torch.int32))


def check_every_case(stack: Stack, dtypes: Sequence[str] = DTYPES) -> int:
    """Compare reading with and without the protective parts; the number of cases compared."""
    cases = 0
    for dtype in dtypes:
        fmt = made(dtype)
        for given in bound(stack, fmt):
            for name, make in WEIGHTS.items():
                weight = make()
                memory = store(weight, fmt, given)
                if memory is None:
                    continue
                plain = load(memory, fmt, protected=False)
                where = f"{dtype}, {given}, {name}"
                assert same_bits(load(memory, fmt, protected=True), plain), where
                assert plain.isfinite().all(), where
                assert (plain.shape, plain.dtype) == (weight.shape, torch.float32), where
                cases += 1
    return cases


def test_no_fault_changes_nothing(method: Method) -> None:
    assert check_every_case((method,), EVERY) >= 20


def test_no_fault_changes_nothing_in_a_stack_of_two(pair: Stack) -> None:
    reason = pair[1].misfit(pair[:1], ("weights",))
    if reason is not None:
        pytest.skip(reason)
    if not any(any(bound(pair, made(dtype))) for dtype in DTYPES):
        pytest.skip("no format of these suits both")
    assert check_every_case(pair) >= 10


def test_reading_never_raises_whatever_the_bits(method: Method) -> None:
    generator = torch.Generator().manual_seed(5)
    for fmt in map(made, EVERY):
        for given in bound((method,), fmt):
            memory = store(gaussian(6, 5), fmt, given)
            assert memory is not None
            (clean,), (state,) = memory.stack, memory.states
            state = clean.profile(load(memory, fmt, protected=False), state)
            for _ in range(20):
                check = memory.checks[0]
                noise = None if check is None else any_words(check, generator)
                words = clean.decode(any_words(memory.payload, generator), noise).words
                assert words.data.shape == (6, 5)
                value = clean.restore(fmt.decode(words, memory.scale), state)
                assert (value.shape, value.dtype) == ((6, 5), torch.float32)


def any_words(like: Words, generator: torch.Generator) -> Words:
    """Random bits in the shape of `like`."""
    raw = torch.randint(-(2**62), 2**62, like.data.shape, generator=generator)
    return mask_to_width(raw, like.width)


def test_a_method_mutates_nothing_and_repeats_itself(method: Method) -> None:
    fmt = FORMATS.make("fp16")
    for given in bound((method,), fmt):
        weight = gaussian(6, 5)
        first, second = store(weight, fmt, given), store(weight, fmt, given)
        assert first is not None
        assert second is not None
        assert torch.equal(weight, gaussian(6, 5))
        assert torch.equal(first.payload.data, second.payload.data)
        image = first.payload.data.clone()
        load(first, fmt, protected=True)
        assert torch.equal(first.payload.data, image)


def test_payload_words_keep_shape_and_width(method: Method) -> None:
    for fmt, given, words in stored_alone(method):
        for payload in (given.adapt(words), given.encode(words)[0]):
            assert (payload.data.shape, payload.width) == (words.data.shape, words.width), fmt
            assert payload.data.dtype == words.data.dtype


def test_the_measured_overhead_is_the_declared_one(method: Method) -> None:
    for count in (0, 1, 2, 7, 30):
        for fmt, given, words in stored_alone(method, count):
            _, check = given.encode(given.adapt(words))
            assert (0 if check is None else check.bits) == given.check_bits(count, fmt.width)


def test_check_words_repeat_the_bits_that_the_method_says(method: Method) -> None:
    for fmt, given, words in stored_alone(method):
        copied, (_, check) = given.copied_bits(fmt.width), given.encode(words)
        if copied is None:
            continue
        assert check is not None
        assert check.width == len(copied)
        for bit in range(fmt.width):
            _, other = given.encode(flip(words, torch.arange(words.data.numel()) * fmt.width + bit))
            assert other is not None
            changed = (check.data ^ other.data).long()
            for place, of in enumerate(copied):
                flipped = (changed >> place & 1).bool()
                assert bool((flipped == (of == bit)).all()), (fmt.label, bit, place)


def test_to_adapt_twice_is_to_adapt_once(method: Method) -> None:
    for fmt, given, words in stored_alone(method):
        once = given.adapt(words)
        assert torch.equal(given.adapt(once).data, once.data), fmt.label


def test_decode_gives_back_what_was_encoded(method: Method) -> None:
    for fmt, given, words in stored_alone(method):
        adapted = given.adapt(words)
        found = given.decode(*given.encode(adapted))
        assert torch.equal(found.words.data, adapted.data), fmt.label
        assert (found.corrected, found.detected) == (0, 0)


def stored_alone(method: Method, *shape: int) -> Iterator[tuple[NumberFormat, Method, Words]]:
    """Each format that the method has a meaning for, the method bound to it, and any words."""
    generator = torch.Generator().manual_seed(11)
    for fmt in map(made, EVERY):
        for (given,) in bound((method,), fmt):
            like = Words(torch.zeros(shape or (6, 5), dtype=carrier(fmt.width)), fmt.width)
            weight = gaussian(*like.data.shape)
            yield fmt, given.choose(weight, weight.sin()), any_words(like, generator)


def test_a_method_either_takes_t_and_has_the_field_or_neither(method: Method) -> None:
    names = {field.name for field in dataclasses.fields(method)}  # type: ignore[arg-type]
    assert method.takes_t == ("t" in names)


def test_the_label_leaves_t_to_its_own_column(method: Method) -> None:
    if method.takes_t:
        assert dataclasses.replace(method, t=math.pi).label == method.label  # type: ignore[type-var]
    assert method.label.startswith(method.name)


def test_the_baseline_and_the_stored_image_of_fp32_are_the_weights() -> None:
    fmt, baseline = FORMATS.make("fp32"), (METHODS.make("none"),)
    for name, make in WEIGHTS.items():
        memory = store(make(), fmt, baseline)
        assert memory is not None
        assert same_bits(load(memory, fmt, protected=True), make()), name


def test_operations_grow_with_the_words_and_are_additive_up_to_blocks(method: Method) -> None:
    for fmt, given, _ in stored_alone(method):
        found = [given.operations(count, fmt.width) for count in (0, 1, 7, 64, 1000)]
        assert all(isinstance(each, int) for each in found), fmt.label
        assert found[0] == 0
        assert found == sorted(found)
        one, other, both = (given.operations(k * 6400, fmt.width) for k in (3, 5, 8))
        assert one + other == pytest.approx(both, rel=0.01), fmt.label


def test_no_protection_takes_no_operations() -> None:
    assert METHODS.make("none").operations(1000, 32) == 0

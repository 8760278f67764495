"""Reading the words that faults touched gives what reading all of them gives, for everything."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from campaign.bits import Words
from campaign.faults import FAULTS, FieldKey
from campaign.formats import FORMATS, NumberFormat
from campaign.methods import METHODS, Decoded, Method
from campaign.methods.selective_words import ChosenWords
from campaign.trial.memory import Storage, Stored, choose, corrupt, read, write
from campaign.trial.touched import Reader, Touched

FLIPS = FAULTS.make("bit_flip")
Stack = tuple[Method, ...]
FEW = [("fp32", {}), ("int8", {"per": "channel"}), ("q3_8", {}), ("mxint8", {}), ("q0_6", {})]
SHAPES = [(7,), (4, 3, 3, 3), (5, 37), (), (2, 70)]


def weights() -> Iterator[torch.Tensor]:
    """Of several shapes, one of them not in the order of memory."""
    generator = torch.Generator().manual_seed(3)
    for shape in SHAPES:
        yield torch.randn(shape, generator=generator) * 0.1
    yield (torch.randn(9, 22, generator=generator) * 0.1).t()
    yield (torch.randn(3, 2, 5, 4, generator=generator) * 0.1).contiguous(
        memory_format=torch.channels_last
    )


def memories(fmt: NumberFormat, stack: Stack, every: int = 1) -> Iterator[tuple[Stored, Storage]]:
    """One in `every` of the weights, stored in `fmt`; nothing where a method refuses."""
    given = tuple(dataclasses.replace(m, t=0.5) if m.takes_t else m for m in stack)  # type: ignore[type-var]
    if any(method.refusal(fmt) is not None for method in given):
        return
    for place, weight in list(enumerate(weights()))[::every]:
        storage = Storage(fmt, given, ("propagate", "zero", "clamp")[place % 3])
        try:
            stored = write(f"w{place}", weight, storage, gradient=weight.cos())
        except ValueError:
            continue  # a method cannot protect this weight
        yield stored, storage


def same_but_for_nan(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal to the bit; NaN is NaN."""
    bits = a.contiguous().view(torch.int32) == b.contiguous().view(torch.int32)
    return bool((bits | (a.isnan() & b.isnan())).all())


def compared(stored: Stored, storage: Storage, rates: tuple[float, ...]) -> int:
    """Compare both readings for flips in all fields, and in each alone; how many flips."""
    reader, flips = Reader(stored, storage, most=float("inf")), 0
    chosen_words = any(isinstance(method, ChosenWords) for method in stored.stack)
    assert reader.by_words != chosen_words  # which words are copied, only the whole tensor tells
    for rate in rates:
        every = choose([stored], FLIPS, storage, ber=rate, seed=5)
        for chosen in (every, *({key: positions} for key, positions in every.items())):
            faults = corrupt(stored, chosen)
            found = reader.reread(chosen)
            if faults.flipped_words == 0:
                assert found is None
                continue
            assert found is not None
            assert found[:3] == faults[1:]
            reading = read(stored, faults.fields, storage)
            assert found[3:6] == reading[1:], (storage.stack, storage.dtype, stored.name, rate)
            assert (found.places.flat is None) == chosen_words
            assert same_but_for_nan(found.whole(stored.clean), reading.weight), storage
            written_and_undone(stored, found)
            flips += faults.flipped_bits
    return flips


def written_and_undone(stored: Stored, found: Touched) -> None:
    """A live parameter takes the values whatever its strides, and loses them again."""
    live = stored.clean.clone().contiguous()
    found.places.put(live, found.weight)
    assert same_but_for_nan(live, found.whole(stored.clean))
    found.places.put(live, found.places.clean)
    assert torch.equal(live.view(torch.int32), stored.clean.contiguous().view(torch.int32))


def test_a_number_format_reads_touched_words_as_all_of_them(fmt: NumberFormat) -> None:
    found = [compared(*held, (1e-3, 0.02, 0.3)) for held in memories(fmt, ())]
    assert len(found) >= len(SHAPES)
    assert sum(found) > 100


@pytest.mark.parametrize(("dtype", "options"), FEW, ids=[name for name, _ in FEW])
def test_a_method_reads_touched_words_as_all_of_them(
    method: Method, dtype: str, options: dict[str, object]
) -> None:
    fmt = FORMATS.make(dtype, options)
    found = [compared(*held, (5e-3, 0.3)) for held in memories(fmt, (method,))]
    if not found:
        pytest.skip(f"{method.label} has no meaning for {fmt.label}")
    assert sum(found) > 100


def test_a_stack_of_two_reads_touched_words_as_all_of_them(pair: Stack) -> None:
    if pair[1].misfit(pair[:1], ("weights",)) is not None:
        pytest.skip("the stack is refused")
    found = [
        compared(*held, (0.05,))
        for name, options in FEW
        for held in memories(FORMATS.make(name, options), pair, every=2)
    ]
    if not found:
        pytest.skip("no format of these suits both")
    assert sum(found) > 100


@dataclass(frozen=True)
class Shuffled(Method):
    """Reads values in another order, and says nothing of it."""

    name: ClassVar[str] = "shuffled"

    def restore(self, value: torch.Tensor, state: object) -> torch.Tensor:
        return value.flip(0)


@dataclass(frozen=True)
class Totalled(Method):
    """Clears all words where any is negative, and says nothing of it."""

    name: ClassVar[str] = "totalled"

    def decode(self, words: Words, check: Words | None) -> Decoded:
        lost = bool((words.data > 127).any())
        return Decoded(Words(words.data * (not lost), words.width), 0, int(lost))


@dataclass(frozen=True)
class Reversed(type(METHODS.make("parity"))):  # type: ignore[misc]
    """Overrides a decoder whose class says how it reads."""

    def decode(self, words: Words, check: Words | None) -> Decoded:
        return Decoded(Words(words.data.flip(0), words.width), 0, 0)


@pytest.mark.parametrize("silent", [Shuffled(), Totalled(), Reversed()], ids=repr)
def test_what_does_not_say_that_it_reads_words_alone_is_read_whole(silent: Method) -> None:
    storage = Storage(FORMATS.make("int8"), (silent,))
    stored = write("w", torch.arange(1.0, 100.0), storage)
    reader = Reader(stored, storage, most=float("inf"))
    assert not reader.by_words
    chosen = choose([stored], FLIPS, storage, ber=0.01, seed=1)
    found = reader.reread(chosen)
    assert found is not None
    assert found.places.flat is None
    assert torch.equal(found.weight, read(stored, corrupt(stored, chosen).fields, storage).weight)


def test_a_tensor_with_many_flips_is_read_whole_and_equal() -> None:
    storage = Storage(FORMATS.make("fp32"), (METHODS.make("secded"),))
    stored = write("w", torch.linspace(-1, 1, 4000), storage)
    for rate, whole in ((1e-4, False), (1e-2, True)):
        chosen = choose([stored], FLIPS, storage, ber=rate, seed=1)
        found = Reader(stored, storage).reread(chosen)
        assert found is not None
        assert (found.places.flat is None) == whole
        expected = read(stored, corrupt(stored, chosen).fields, storage)
        assert same_but_for_nan(found.whole(stored.clean), expected.weight)
        assert (found.corrected, found.detected) == (expected.corrected, expected.detected)


def test_flips_of_other_parameters_touch_nothing() -> None:
    storage = Storage(FORMATS.make("fp16"))
    stored = write("w", torch.ones(10), storage)
    other = choose([write("v", torch.ones(10), storage)], FLIPS, storage, ber=0.5, seed=1)
    assert Reader(stored, storage).reread(other) is None
    assert other[FieldKey("v", "payload")].size

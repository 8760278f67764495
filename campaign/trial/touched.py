"""Reading again only what faults touched: the cost of a trial grows with its flips."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from campaign.bits import Words
from campaign.bits.struck import MANY, Struck, struck_words
from campaign.faults import FieldKey
from campaign.formats import NumberFormat
from campaign.formats.blocks import block_members, broadcast_at
from campaign.lazy import np, torch
from campaign.methods import Method, Spans
from campaign.methods.overrides import stands_by
from campaign.trial.counting import counted
from campaign.trial.memory import Storage, Stored, corrupt, read, under_policy

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from campaign.faults.subject import Flips

MOST_BY_WORDS = 1 / 2
"""Share of the words of a tensor from which on it is read whole: measured on ResNet-18."""
MOST_BY_VIEW = 1 / 8
"""The same where words are numbers as they stand: above `campaign.bits.struck.MANY` flips."""
MOST_BY_BLOCKS = 1 / 32
"""The same where words decode in blocks."""
_WORTH_NUMPY = 1024
"""Single elements from which on numpy writes them sooner than torch."""


@dataclass(frozen=True)
class Places:
    """Elements of a weight, and what they hold without faults.

    Args:
        flat: Their flat places, int64, shape (k,); None means all of them.
        clean: float32, shape (k,), or that of the weight.
    """

    flat: Tensor | None
    clean: Tensor

    def put(self, weight: Tensor, values: Tensor) -> None:
        """Write `values`, shaped as `clean`, into these places of `weight`, of any strides."""
        reachable = weight.device.type == "cpu" and weight.is_contiguous()
        if self.flat is None:
            weight.copy_(values)
        elif reachable and self.clean.numel() >= _WORTH_NUMPY:
            weight.detach().numpy().reshape(-1)[self.flat.numpy()] = values.numpy()
        else:
            weight.put_(self.flat, values)


class Touched(NamedTuple):
    """What flips changed in one parameter, and what is read where they did."""

    flipped_bits: int
    flipped_words: int
    digest: bytes
    """As of `campaign.trial.memory.Faults`."""
    corrected: int
    detected: int
    nonfinite: int
    weight: Tensor
    """The weight in `places`, shaped as `places.clean`."""
    places: Places
    """All others read as without faults."""
    changes: bool
    """Whether any weight reads as another than without faults, to the bit."""

    def whole(self, clean: Tensor) -> Tensor:
        """The whole weight; `clean` is what it reads as without faults and is left unchanged."""
        if self.places.flat is None:
            return self.weight
        weight = clean.clone()
        self.places.put(weight, self.weight)
        return weight


@dataclass
class Reader:
    """Reads one parameter under flips: touched words where few are, else all of them.

    Every flip of a word touches what the decoders of the stack read with it: the words of its
    spans, of its check word, or of the block whose scale it belongs to. These words stand for
    themselves; the result is that of `corrupt` and `read`, to the bit, but for the payload of NaN,
    which conversions keep or not depending on how many numbers they meet.

    Args:
        stored: The parameter in memory.
        storage: How it is stored and read.
        most: Share of its words up to which it is read by words; None takes what was measured.
    """

    stored: Stored
    storage: Storage
    most: float | None = None

    def __post_init__(self) -> None:
        stored, self._stack = self.stored, self.stored.stack
        self._keys = {field: FieldKey(stored.name, field) for field in stored.fields}
        self._payload = stored.fields["payload"]
        self._count, self._shape = self._payload.data.numel(), tuple(self._payload.data.shape)
        self._spans = spans_of(self.storage.dtype, self._stack, self._payload.width)
        self._group = math.lcm(*(spans.words for spans in self._spans or ()))
        usual = MOST_BY_WORDS if self._group == 1 else MOST_BY_BLOCKS
        self._most = self._count * (usual if self.most is None else self.most)
        stack = reversed(list(enumerate(zip(self._stack, self._spans or (), strict=False))))
        self._decoders = [
            (place, method, spans)
            for place, (method, spans) in stack
            if type(method).decode is not Method.decode
        ]
        self._clean = stored.clean.reshape(-1)
        self._plain = set(stored.fields) == {"payload"} and stored.scale is None
        self._plain &= all(_passes(method) for method in self._stack)

    @property
    def joins(self) -> bool:
        """Whether words of this parameter and of others like it can be read as one tensor's."""
        dtype, data = type(self.storage.dtype), self._payload.data
        whole = self.most is not None or self._spans is None or data.device.type != "cpu"
        alone = dtype.decode_at is NumberFormat.decode_at and data.is_contiguous()
        return self._plain and alone and not whole

    @property
    def by_words(self) -> bool:
        """Whether the number format and every method can be asked for some of the words."""
        return self._spans is not None

    def reread(self, chosen: Flips) -> Touched | None:
        """What the flips that are `chosen` change; None where there is none in this parameter."""
        flips = {
            field: held
            for field, key in self._keys.items()
            if (held := chosen.get(key)) is not None and held.size
        }
        if not flips:
            return None
        if self._spans is None or self._words_at_most(flips) > self._worth_words(flips):
            return self._reread_whole(chosen)
        struck = {f: struck_words(self.stored.fields[f], p) for f, p in flips.items()}
        hit = self._hit(struck, self._spans)
        index = torch.from_numpy(hit).to(self._payload.data.device)
        words, corrected, detected = self._decoded(struck, hit, index)
        value, nonfinite = under_policy(
            self._restored(words, struck, index), self.stored, self.storage
        )
        places = Places(index, self._clean.index_select(0, index))
        found = counted(self.stored.name, struck)
        changes = _differs(value, places.clean)
        return Touched(*found, corrected, detected, nonfinite, value, places, changes)

    def _reread_whole(self, chosen: Flips) -> Touched:
        faults = corrupt(self.stored, chosen)
        weight, corrected, detected, nonfinite = read(self.stored, faults.fields, self.storage)
        found = faults.flipped_bits, faults.flipped_words, faults.digest
        places = Places(None, self.stored.clean)
        changes = _differs(weight, places.clean)
        return Touched(*found, corrected, detected, nonfinite, weight, places, changes)

    def _worth_words(self, flips: Mapping[str, NDArray[np.int64]]) -> float:
        """Up to how many words are read by themselves."""
        many = self.most is None and sum(positions.size for positions in flips.values()) > MANY
        return self._count * MOST_BY_VIEW if many and self._plain else self._most

    def _words_at_most(self, flips: Mapping[str, NDArray[np.int64]]) -> int:
        """A bound on the words to read."""
        block = self.storage.dtype.scale_block or 1
        least = sum(positions.size for positions in flips.values())
        scales = flips["scale"].size if "scale" in flips else 0
        return self._group * (least + scales * (block - 1))

    def _hit(self, struck: Mapping[str, Struck], stack: Sequence[Spans]) -> NDArray[np.int64]:
        """Flat places of the words to read, ascending, in whole groups of all spans."""
        found = [struck["payload"].places] if "payload" in struck else []
        if "scale" in struck:
            size = self.storage.dtype.scale_block or 1
            found.append(block_members(self._shape, size, struck["scale"].places))
        for place, spans in enumerate(stack):
            held = struck.get(f"check{place}")
            if held is not None and spans.checks:
                row = self.stored.fields[f"check{place}"].data.numel() // (spans.copies or 1)
                found.append(held.places % row // spans.checks * spans.words)
        places = found[0] if len(found) == 1 else np.concatenate(found or [_none()])
        if len(struck) > 1 or not struck.keys() & {"payload", "scale"}:
            places = np.unique(places)
        if self._group == 1:
            return places
        return _filled(_distinct(places // self._group), self._group, self._count)

    def _decoded(
        self, struck: Mapping[str, Struck], hit: NDArray[np.int64], index: Tensor
    ) -> tuple[Words, int, int]:
        """The payload words `hit` after all decoders, and how many these corrected, detected."""
        words = _gathered(self._payload, hit, struck.get("payload"), index)
        corrected = detected = 0
        for place, method, spans in self._decoders:
            check = None
            if f"check{place}" in self.stored.fields:
                check = self._checks(f"check{place}", spans, hit, struck)
            words, *counts = method.decode(words, check)
            corrected, detected = corrected + counts[0], detected + counts[1]
        return words, corrected, detected

    def _checks(
        self, field: str, spans: Spans, hit: NDArray[np.int64], struck: Mapping[str, Struck]
    ) -> Words:
        """The check words of the spans of the payload words `hit`."""
        held = self.stored.fields[field]
        row = held.data.numel() // (spans.copies or 1)
        places = hit if spans.words == 1 else hit[:: spans.words] // spans.words
        if spans.checks != 1:
            places = _filled(places, spans.checks, row)
        if spans.copies is None:
            return _gathered(held, places, struck.get(field))
        every = (np.arange(spans.copies)[:, None] * row + places).reshape(-1)
        found = _gathered(held, every, struck.get(field))
        return Words(found.data.view(spans.copies, -1), found.width)

    def _restored(self, words: Words, struck: Mapping[str, Struck], index: Tensor) -> Tensor:
        """The words as numbers, as the stack gives them back."""
        scale = self.stored.scale
        if "scale" in self.stored.fields:
            held = self.stored.fields["scale"]
            scale = (struck["scale"].applied(held) if "scale" in struck else held).data
        value = self.storage.dtype.decode_at(words, scale, self._shape, index)
        for method, state in zip(reversed(self._stack), reversed(self.stored.states), strict=True):
            if type(method).restore is not Method.restore:
                known = {k: broadcast_at(each, self._shape, index) for k, each in state.items()}
                value = method.restore(value, known)
        return value


def _differs(value: Tensor, clean: Tensor) -> bool:
    """Whether two tensors of numbers differ in any bit."""
    return not torch.equal(value.view(torch.int32), clean.view(torch.int32))


def _passes(method: Method) -> bool:
    """Whether weights are read past the method as they are."""
    return type(method).decode is Method.decode and type(method).restore is Method.restore


def spans_of(
    dtype: NumberFormat, stack: tuple[Method, ...], width: int
) -> tuple[Spans, ...] | None:
    """The spans of each method, or None where one of them or the format needs all words."""
    alone = dtype.pointwise and stands_by(type(dtype), "pointwise", "decode")
    found = list[Spans]()
    for method in stack:
        known = stands_by(type(method), "spans", "decode") and method.pointwise
        spans = method.spans(width) if known else None
        if not alone or spans is None or not stands_by(type(method), "pointwise", "restore"):
            return None
        found.append(spans)
    return tuple(found) if alone else None


def _gathered(
    words: Words, places: NDArray[np.int64], struck: Struck | None, index: Tensor | None = None
) -> Words:
    """The words at flat `places`, shape (k,), with the flips of `struck`, which all lie there.

    `index` holds the places on the device of the words, where it is made already.
    """
    if index is None:
        index = torch.from_numpy(places).to(words.data.device)
    data = words.data.reshape(-1).index_select(0, index)
    if struck is not None:
        if struck.places is places:
            data ^= torch.from_numpy(struck.patterns).to(data.device)
        else:
            struck.flip_within(data, np.searchsorted(places, struck.places))
    return Words(data, words.width)


def _filled(parts: NDArray[np.int64], size: int, count: int) -> NDArray[np.int64]:
    """Flat places of all members of `parts` of `size` members, the last ending at `count`."""
    places: NDArray[np.int64] = (parts[:, None] * size + np.arange(size)).reshape(-1)
    if places.size and places[-1] >= count:
        return places[places < count]
    return places


def _distinct(ordered: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ascending numbers, each once."""
    return ordered[np.diff(ordered, prepend=-1) > 0]


def _none() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)

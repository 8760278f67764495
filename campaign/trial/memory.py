"""The simulated memory: write a weight, corrupt the stored bits, read the weight back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from campaign.bits import Words
from campaign.bits.struck import strike
from campaign.faults import Exposed, FaultModel, FieldKey
from campaign.formats import NumberFormat
from campaign.lazy import np, torch
from campaign.methods import Method, State
from campaign.methods.recalled import recalled
from campaign.spec.exposure import NOTHING_EXEMPT, Exempt
from campaign.trial.counting import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_OF_FORMAT = ("payload", "scale")
"""Fields that the number format writes; the others are check words of methods."""


@dataclass(frozen=True)
class Storage:
    """How weights are stored and read.

    Args:
        dtype: The number format.
        stack: Protections, left to right on the way in, right to left on the way out; held as
            bound to `dtype`.
        nonfinite: What a weight that reads as NaN or infinity becomes: ``propagate`` leaves it,
            ``zero`` makes it 0, ``clamp`` makes NaN 0 and infinities the largest fault-free
            magnitude of the tensor with their sign.
        exempt: Bits that never flip.
    """

    dtype: NumberFormat
    stack: tuple[Method, ...] = ()
    nonfinite: str = "propagate"
    exempt: Exempt = NOTHING_EXEMPT

    def __post_init__(self) -> None:
        bound = tuple(method.bind(self.dtype) for method in self.stack)
        object.__setattr__(self, "stack", bound)


@dataclass(frozen=True)
class Stored:
    """One parameter in memory.

    Args:
        name: The parameter.
        fields: Faultable words by field: ``payload``, ``scale`` where the number format stores its
            scales, and ``check<i>`` of the i-th method.
        scale: Scale of the number format in protected memory; None where it is a field or absent.
        states: Constants of each method, in protected memory.
        stack: The protections as they act on this parameter.
        clean: The weight as read without faults, float32, in the parameter's shape.
    """

    name: str
    fields: Mapping[str, Words]
    scale: Tensor | None
    states: tuple[State, ...]
    stack: tuple[Method, ...]
    clean: Tensor

    @property
    def stored_bits(self) -> int:
        """Bits of the payload, and of the scales where the number format stores them."""
        return sum(words.bits for field, words in self.fields.items() if field in _OF_FORMAT)

    @property
    def check_bits(self) -> int:
        """Bits of all check words."""
        return sum(words.bits for field, words in self.fields.items() if field not in _OF_FORMAT)

    @property
    def constant_bits(self) -> int:
        """Bits of the constants of all methods, in protected memory."""
        return sum(constant_bits(state) for state in self.states)

    @cached_property
    def largest(self) -> float:
        """The largest magnitude of the weight as read without faults."""
        return float(self.clean.abs().max())


def constant_bits(state: State) -> int:
    """Bits of constants as they are held."""
    return sum(held.numel() * held.element_size() * 8 for held in state.values())


class Faults(NamedTuple):
    """The stored words after the faults, and what changed, counted by XOR."""

    fields: Mapping[str, Words]
    flipped_bits: int
    flipped_words: int
    digest: bytes
    """Fingerprint of the flipped positions; empty where nothing flipped."""


class Reading(NamedTuple):
    """A weight as the network sees it, and what the decoders and the policy met."""

    weight: Tensor
    corrected: int
    detected: int
    nonfinite: int


def write(
    name: str,
    weight: Tensor,
    storage: Storage,
    *,
    gradient: Tensor | None = None,
    learnt: Sequence[State] = (),
) -> Stored:
    """Store a trained weight.

    Args:
        name: The parameter; errors and random streams name it.
        weight: float32, any shape, finite.
        storage: How to store it.
        gradient: Of the loss of the trained network, for methods that differentiate.
        learnt: What each trained method of the stack learnt, in their order; nothing where the
            network was not trained for it.

    Raises:
        ValueError: If the weight holds NaN or infinity, a method cannot protect it, or it reads
            back as nothing but zeros.
    """
    if not bool(weight.isfinite().all()):
        raise ValueError(f"{name}: the trained weight holds NaN or infinity; repair the checkpoint")
    known = recalled(storage.stack, learnt, name)
    stack = tuple(method.choose(weight, gradient) for method in known)
    value, states = weight, []
    for method in stack:
        try:
            value, state = method.transform(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        states.append(state)
    dtype = storage.dtype
    scale = dtype.calibrate(value)
    payload, checks = _encoded(dtype.encode(value, scale), stack)
    fields = {"payload": payload, **_scale_field(scale, dtype), **checks}
    value = dtype.decode(_decoded(fields, stack)[0], scale)
    for place, method in reversed(list(enumerate(stack))):
        states[place] = method.profile(value, states[place])
        value = method.restore(value, states[place])
    _refuse_lifeless(name, weight, value)
    return Stored(name, fields, None if "scale" in fields else scale, tuple(states), stack, value)


def _scale_field(scale: Tensor | None, dtype: NumberFormat) -> dict[str, Words]:
    """The scale as words of a field of its own, where the format stores it."""
    if scale is None or dtype.scale_width is None:
        return {}
    return {"scale": Words(scale, dtype.scale_width)}


def _refuse_lifeless(name: str, weight: Tensor, value: Tensor) -> None:
    """Refuse a weight that reads as nothing without any fault."""
    if not bool(value.isfinite().all()):
        raise ValueError(f"{name}: reads as NaN or infinity without any fault; change t or options")
    if bool(weight.any()) and not bool(value.any()):
        raise ValueError(f"{name}: every weight reads as 0 without any fault; change t or dtype")


def choose(
    memory: Iterable[Stored], fault: FaultModel, storage: Storage, *, ber: float, seed: int
) -> dict[FieldKey, NDArray[np.int64]]:
    """Which bits of a memory flip.

    Args:
        memory: The parameters in memory.
        fault: Which bits flip.
        storage: Says which bits never flip.
        ber: Bit error rate, a probability in [0, 1].
        seed: With the names of parameters and fields and the word size, all that is drawn from.

    Raises:
        ValueError: If the fault model has no meaning for this memory.
    """
    return fault.sample_all(exposed_fields(memory, storage), ber, seed)


def exposed_fields(memory: Iterable[Stored], storage: Storage) -> dict[FieldKey, Exposed]:
    """What a fault may hit of a memory."""
    return {
        FieldKey(stored.name, field): held
        for stored in memory
        for field, held in _exposed(stored, storage).items()
    }


def corrupt(stored: Stored, chosen: Mapping[FieldKey, NDArray[np.int64]]) -> Faults:
    """Flip the bits of a parameter that are among the `chosen`; `stored` is left unchanged."""
    struck = {}
    for field, words in stored.fields.items():
        positions = chosen.get(FieldKey(stored.name, field))
        if positions is not None and positions.size:
            struck[field] = strike(words, positions)
    flipped = {field: held.applied(stored.fields[field]) for field, held in struck.items()}
    return Faults({**stored.fields, **flipped}, *counted(stored.name, struck))


def read(
    stored: Stored, fields: Mapping[str, Words], storage: Storage, *, decoding: bool = True
) -> Reading:
    """Read a weight from (possibly corrupted) words, by codes if `decoding`; never raises."""
    found = _decoded(fields, stored.stack) if decoding else (fields["payload"], 0, 0)
    payload, corrected, detected = found
    scale = fields["scale"].data if "scale" in fields else stored.scale
    value = storage.dtype.decode(payload, scale)
    for method, state in zip(reversed(stored.stack), reversed(stored.states), strict=True):
        value = method.restore(value, state)
    value, count = under_policy(value, stored, storage)
    return Reading(value, corrected, detected, count)


def under_policy(value: Tensor, stored: Stored, storage: Storage) -> tuple[Tensor, int]:
    """Values read of `stored` as the non-finite policy leaves them, and how many it is about."""
    finite = _finite(value)
    # On a CPU numpy counts ten times as fast.
    found = np.count_nonzero(finite.numpy()) if value.device.type == "cpu" else finite.sum()
    count = value.numel() - int(found)
    if count and storage.nonfinite == "zero":
        value = torch.where(finite, value, 0.0)
    elif count and storage.nonfinite == "clamp":
        largest = stored.largest
        value = torch.nan_to_num(value, nan=0.0, posinf=largest, neginf=-largest)
    return value, count


def _finite(value: Tensor) -> Tensor:
    """Which numbers are; numpy tells it ten times as fast."""
    if value.device.type == "cpu":
        return torch.from_numpy(np.asarray(np.isfinite(value.numpy())))
    return value.isfinite()


def exposed_bits(stored: Stored, storage: Storage) -> int:
    """Bits that a fault may hit: the denominator of BER."""
    return sum(held.bits for held in _exposed(stored, storage).values())


def _encoded(payload: Words, stack: tuple[Method, ...]) -> tuple[Words, dict[str, Words]]:
    """Payload, and check words by field, left to right."""
    for method in stack:
        payload = method.adapt(payload)
    checks = {}
    for place, method in enumerate(stack):
        payload, check = method.encode(payload)
        if check is not None:
            checks[f"check{place}"] = check
    return payload, checks


def _decoded(fields: Mapping[str, Words], stack: tuple[Method, ...]) -> tuple[Words, int, int]:
    """Payload after all decoders, right to left, and how many words they corrected, detected."""
    payload, corrected, detected = fields["payload"], 0, 0
    for place, method in reversed(list(enumerate(stack))):
        found = method.decode(payload, fields.get(f"check{place}"))
        payload = found.words
        corrected, detected = corrected + found.corrected, detected + found.detected
    return payload, corrected, detected


def _exposed(stored: Stored, storage: Storage) -> dict[str, Exposed]:
    """What a fault may hit of each field."""
    width, exempt = stored.fields["payload"].width, storage.exempt
    frozen = {"payload": exempt.payload}
    if exempt.scales and "scale" in stored.fields:
        frozen["scale"] = frozenset(range(stored.fields["scale"].width))
    for place, method in enumerate(stored.stack):
        if (check := stored.fields.get(f"check{place}")) is not None:
            copied = method.copied_bits(width)
            frozen[f"check{place}"] = exempt.of_check(check.width, copied)
    return {f: Exposed(words, frozen.get(f, frozenset())) for f, words in stored.fields.items()}


def fingerprint(values: Tensor) -> bytes:
    """Integers as the bytes of little-endian int64, whatever their dtype and device."""
    return values.to("cpu", torch.int64).numpy().astype("<i8").tobytes()

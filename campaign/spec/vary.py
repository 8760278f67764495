"""What faults may hit and how they fall, as axes of the grid: the form of sensitivity studies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from campaign.faults import FAULTS, FaultModel
from campaign.spec import axes
from campaign.spec.choice import Choice, chooser, problems_error
from campaign.spec.roles import Section, axis

KINDS = ("weights", "biases", "norms", "other")
"""Kinds of parameters, in the order in which rows name them."""
Fault = Annotated[
    Choice[FaultModel],
    PlainValidator(chooser(FAULTS)),
    WithJsonSchema({"x-registry": "fault"}),
]
NotBool = BeforeValidator(axes.number)
Lifetime = Literal["persistent"] | Annotated[int, Field(ge=1), NotBool]
BitIndex = Annotated[int, Field(ge=0), NotBool]


def _kinds(raw: Any) -> str:  # noqa: ANN401
    """One or more kinds, such as ``weights+biases``, in the order of `KINDS`.

    Example:
        >>> _kinds("biases+weights")
        'weights+biases'
    """
    named = raw.split("+") if isinstance(raw, str) else []
    if not named or len(set(named)) < len(named) or not set(named) <= {*KINDS}:
        allowed = f"{', '.join(KINDS)}, or several with + between"
        raise problems_error([((), f"got {raw!r}; allowed: {allowed}")])
    return "+".join(kind for kind in KINDS if kind in named)


KindsText = Annotated[str, PlainValidator(_kinds), WithJsonSchema({"type": "string"})]
Faults = Annotated[list[Fault], BeforeValidator(axes.one_or_many), Field(min_length=1)]
Lifetimes = Annotated[list[Lifetime], BeforeValidator(axes.one_or_many), Field(min_length=1)]
Bits = Annotated[list[BitIndex | str], BeforeValidator(axes.one_or_many), Field(min_length=1)]
BitSet = Annotated[list[BitIndex | str], BeforeValidator(axes.one_or_many)]
BitSets = Annotated[list[BitSet], BeforeValidator(axes.one_or_many), Field(min_length=1)]
Layers = Annotated[list[str], BeforeValidator(axes.one_or_many), Field(min_length=1)]
Kinds = Annotated[list[KindsText], BeforeValidator(axes.one_or_many), Field(min_length=1)]


class Vary(Section):
    """Values in place of the campaign's ``fault``, ``lifetime`` and ``targets``: all combinations.

    Each combination is a setup of its own, with rows named by ``fault`` and ``targets``. What is
    null stays as the campaign has it.
    """

    fault: Faults | None = axis(None, "Fault models, in place of the campaign's.")
    lifetime: Lifetimes | None = axis(
        None, "How long fault maps last: persistent, or images, in place of the campaign's."
    )
    bits: Bits | None = axis(
        None,
        "Bits that alone may flip, one at a time, in place of targets.only_bits: positions, "
        "classes, checks, scale; each is every position that targets leaves exposed.",
    )
    exempt_bits: BitSets | None = axis(
        None,
        "Sets of bits that never flip, one set at a time, in place of targets.exempt_bits; [] is "
        "none. Not together with bits.",
    )
    layers: Layers | None = axis(
        None,
        "Name patterns that alone are exposed, one at a time, in place of targets.include; each "
        "is every layer that has an exposed parameter.",
    )
    kinds: Kinds | None = axis(
        None,
        "Kinds of parameters that alone are exposed, one at a time: weights, biases, norms, "
        "other, or several with + between, in place of those of targets.",
    )

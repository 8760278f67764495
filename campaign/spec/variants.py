"""The fault models, lifetimes and targets that a part of the grid asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

from campaign.faults import FaultModel
from campaign.formats import NumberFormat
from campaign.sources import ModelSource
from campaign.sources.layer_names import kinds_of, owner_of
from campaign.spec.campaign import CampaignSpec, Grid, SubGrid
from campaign.spec.exposure import Exempt
from campaign.spec.grid import Targets
from campaign.spec.vary import KINDS, Vary

EACH = "each"
"""Stands for every bit position, or every layer."""


class Variant(NamedTuple):
    """How faults fall, and what they may hit."""

    fault_name: str
    """As rows call it, with its lifetime."""
    fault: FaultModel
    lifetime: int | None
    """After how many images the next fault map is drawn; None is never."""
    targets: Targets


def varied(spec: CampaignSpec, part: Grid | SubGrid) -> Vary:
    """What a part of the grid varies; an included one that says nothing takes the grid's."""
    return part.vary or spec.grid.vary or Vary()


def variants_of(
    spec: CampaignSpec, part: Grid | SubGrid, model: ModelSource, dtype: NumberFormat
) -> Iterator[Variant]:
    """Every variant of a part for a network and a number format, those of one storage together.

    Raises:
        SetupError: If layers are asked for one by one and the network cannot be built.
    """
    vary = varied(spec, part)
    for targets, fault, lifetime in product(
        _all_targets(spec, vary, model, dtype),
        faults_of(spec, part),
        lifetimes_of(spec, part),
    ):
        yield Variant(_fault_name(fault, lifetime), fault, lifetime, targets)


def faults_of(spec: CampaignSpec, part: Grid | SubGrid) -> list[FaultModel]:
    """The fault models of a part of the grid."""
    return [choice.value for choice in varied(spec, part).fault or [spec.fault]]


def lifetimes_of(spec: CampaignSpec, part: Grid | SubGrid) -> list[int | None]:
    """The lifetimes of fault maps in a part of the grid; None is for ever."""
    chosen = varied(spec, part).lifetime or [spec.lifetime]
    return [None if isinstance(held, str) else held for held in chosen]


def targets_of(spec: CampaignSpec) -> Targets:
    """The targets of `spec` as the core takes them."""
    chosen = spec.targets
    return Targets(
        kinds=tuple(kind for kind in KINDS if getattr(chosen, kind)),
        include=tuple(chosen.include),
        exclude=tuple(chosen.exclude),
        exempt_bits=tuple(chosen.exempt_bits),
        only_bits=tuple(chosen.only_bits),
        activations=chosen.activations,
    )


def _all_targets(
    spec: CampaignSpec, vary: Vary, model: ModelSource, dtype: NumberFormat
) -> Iterator[Targets]:
    base = targets_of(spec)
    for chosen in [base] if vary.kinds is None else [_of_kinds(base, k) for k in vary.kinds]:
        named = [chosen]
        if vary.layers is not None:
            layers = layers_of(spec, vary.layers, chosen, model)
            named = [replace(chosen, include=layer) for layer in layers]
        for targets in named:
            yield from _of_bits(targets, vary, dtype)


def _of_bits(targets: Targets, vary: Vary, dtype: NumberFormat) -> Iterator[Targets]:
    if vary.exempt_bits is not None:
        yield from (replace(targets, exempt_bits=tuple(bits)) for bits in vary.exempt_bits)
    elif vary.bits is not None:
        bits = bits_of(vary.bits, targets, dtype)
        yield from (replace(targets, only_bits=(bit,)) for bit in bits)
    else:
        yield targets


def _of_kinds(targets: Targets, kinds: str) -> Targets:
    return replace(targets, kinds=tuple(kinds.split("+")))


def bits_of(
    bits: Sequence[int | str], targets: Targets, dtype: NumberFormat
) -> Iterator[int | str]:
    """The bits that are struck one at a time, from the most significant on where it is `each`."""
    for bit in bits:
        if bit != EACH:
            yield bit
            continue
        frozen = Exempt.of(dtype, targets.exempt_bits, targets.only_bits).payload
        yield from (place for place in reversed(range(dtype.width)) if place not in frozen)


def layers_of(
    spec: CampaignSpec, layers: Sequence[str], targets: Targets, model: ModelSource
) -> Iterator[tuple[str, ...]]:
    """The name patterns that are exposed one layer at a time, in the order of the network."""
    for layer in layers:
        if layer != EACH:
            yield (layer,)
            continue
        kinds = kinds_of(model, fold=spec.fold_batchnorm)
        exposed = [name for name, kind in kinds.items() if targets.match(name, kind)]
        for owner in dict.fromkeys(owner_of(name) for name in exposed):
            names = tuple(name for name in exposed if owner_of(name) == owner)
            whole = replace(targets, include=(f"{owner}.*",))
            matched = tuple(name for name, kind in kinds.items() if whole.match(name, kind))
            yield whole.include if matched == names else names


def _fault_name(fault: FaultModel, lifetime: int | None) -> str:
    """The fault model in rows, with the lifetime of its maps where they are transient."""
    return fault.label if lifetime is None else f"{fault.label} every {lifetime} images"

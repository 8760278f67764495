"""Stored words, fault positions and defaults are what they were."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from campaign.bits import Words, carrier
from campaign.faults import FAULTS, Exposed, FaultModel, FieldKey, Stream
from campaign.faults.chip import RecordedChip
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.registry import Registry, describe
from campaign.sources import DATASETS, MODELS

Frozen = Callable[[str, dict[str, Any]], None]
USUAL = [[0.0, -0.0, 1 / 3, -1 / 3, 0.1], [1e-8, -0.75, 0.046875, 0.984375, -1e-3]]
EXTREME = [1.0, 1.5, -2.75, 3.96875, 4.0, -4.0, 65504.0, 65520.0, 3e38, -3e38, 1e-45, 6e-8]
MEMBERS = ["int4", "int16", "q0_7", "q3_12", "q15_16", "mxfp4", "mxfp6_e3m2", "mxint8"]
PLACES = [
    (0, "conv1.weight", "payload", 32, 1728, 1e-4),
    (0, "conv1.weight", "payload", 8, 1728, 1e-3),
    (0, "conv1.weight", "check0", 1, 1728, 1e-2),
    (1, "conv1.weight", "payload", 32, 1728, 1e-4),
    (7, "fc.weight", "payload", 16, 512_000, 1e-6),
    (7, "fc.weight", "payload", 16, 512_000, 1e-3),
    (2**40, "layer4.1.conv2.weight", "payload", 32, 2**31, 1e-9),
    (3, "fc.bias", "payload", 12, 10, 0.5),
]

FAULT_MODELS: list[tuple[str, dict[str, Any]]] = [
    ("bit_flip", {}),
    ("exact_flips", {}),
    ("exact_flips", {"count": 9}),
    ("single_flip", {}),
    ("stuck_at", {}),
    ("stuck_at", {"value": 1}),
    ("asymmetric", {"one_to_zero": 0.25, "zero_to_one": 1.75}),
    ("burst", {}),
    ("burst", {"length": 5, "row_bits": 48}),
]

CHIP = {
    "cell": np.arange(7, 500, 31),
    "voltage": np.arange(16) % 5 / 10,
    "value": np.arange(16) % 2,
}


def hexadecimal(words: Words) -> list[str]:
    """Stored words, in order."""
    digits = (words.width + 3) // 4
    mask = (1 << words.width) - 1
    return [f"{code & mask:0{digits}x}" for code in words.data.reshape(-1).tolist()]


def encodings(name: str, options: dict[str, Any]) -> dict[str, list[str]]:
    """What fixed values are stored as."""
    fmt = FORMATS.make(name, options)
    values = torch.tensor(USUAL, dtype=torch.float64).float()
    stored = {"usual": hexadecimal(fmt.encode(values, fmt.calibrate(values)))}
    if fmt.largest is not None:
        extreme = torch.tensor(EXTREME, dtype=torch.float64).float()
        stored["extreme"] = hexadecimal(fmt.encode(extreme, fmt.calibrate(extreme)))
    return stored


def test_fixed_values_are_stored_as_they_were(frozen: Frozen) -> None:
    names = [getattr(cls, "example", cls.name) for cls in FORMATS] + MEMBERS
    found = {name: encodings(name, {}) for name in names}
    settings: list[dict[str, Any]] = [
        {"per": "channel"},
        {"scheme": "asymmetric", "per": "group", "group_size": 2},
        {"scheme": "robust", "storage": "unsigned"},
        {"scheme": "robust", "storage": "unsigned", "rounding": "truncate"},
    ]
    for options in settings:
        found[describe("int8", options)] = encodings("int8", options)
    frozen("encodings", found)


def positions(
    seed: int, tensor: str, field: str, width: int, count: int, ber: float
) -> dict[str, Any]:
    """How many bits flip, the first of them, and a fingerprint of all."""
    words = Words(torch.zeros(1, dtype=carrier(width)).expand(count), width)
    hits = FAULTS.make("bit_flip").sample(words, ber, Stream(seed, tensor, field, width))
    digest = hashlib.sha256(hits.astype("<i8").tobytes()).hexdigest()
    return {"count": hits.size, "first": hits[:8].tolist(), "sha256": digest}


def test_the_same_bits_flip_as_ever(frozen: Frozen) -> None:
    frozen("positions", {" ".join(map(str, place)): positions(*place) for place in PLACES})


def memory() -> dict[FieldKey, Exposed]:
    """Two parameters of which one has check words and one exempt bits; as many ones as zeros."""
    first = Words((torch.arange(900) * 40_503 % 65_536 - 32_768).to(torch.int16), 16)
    check = Words((torch.arange(900) % 32).to(torch.uint8), 5)
    second = Words((torch.arange(50) * 37 % 256).to(torch.uint8), 8)
    return {
        FieldKey("a.weight", "payload"): Exposed(first),
        FieldKey("a.weight", "check0"): Exposed(check),
        FieldKey("b.weight", "payload"): Exposed(second, frozenset({0, 7})),
    }


def test_every_fault_model_flips_the_bits_it_ever_flipped(frozen: Frozen) -> None:
    found: dict[str, Any] = {}
    for name, options in FAULT_MODELS:
        fault = FAULTS.make(name, options)
        for ber in (1e-3, 0.05):
            chosen = fault.sample_all(memory(), ber, 5)
            found[f"{fault.label} {ber}"] = {"/".join(k): p.tolist() for k, p in chosen.items()}
    chip = RecordedChip.of(CHIP, 500)
    for ber in (1e-3, 0.05):
        chosen = chip.sample_all(memory(), ber, 5)
        found[f"{chip.name} {ber}"] = {"/".join(k): p.tolist() for k, p in chosen.items()}
    attacks = {cls.name for cls in FAULTS if cls.attack is not FaultModel.attack}
    drawn = {name for name, _ in FAULT_MODELS} | {chip.name}
    assert drawn == set(FAULTS.names()) - attacks  # what those choose depends on the arithmetic
    frozen("faults", {key: json.dumps(held) for key, held in found.items()})


def test_streams_give_the_numbers_they_gave(frozen: Frozen) -> None:
    places = {place[:4] for place in PLACES}
    frozen(
        "streams",
        {
            " ".join(map(str, place)): [number.hex() for number in Stream(*place).uniform(4)]
            for place in places
        },
    )


def defaults(registry: Registry[Any]) -> dict[str, dict[str, Any]]:
    """Every option of every class with its default, ``required`` where it has none."""
    return {
        cls.name: {field.name: default(field) for field in dataclasses.fields(cls)}
        for cls in registry
    }


def default(field: dataclasses.Field[Any]) -> object:
    """The default of one option as JSON has it."""
    if field.default_factory is not dataclasses.MISSING:
        return repr(field.default_factory())
    held = field.default
    if held is dataclasses.MISSING:
        return "required"
    return held if held is None or isinstance(held, bool | int | float | str) else repr(held)


def test_no_default_changed(frozen: Frozen) -> None:
    registries: tuple[Registry[Any], ...] = (FORMATS, METHODS, FAULTS, MODELS, DATASETS)
    frozen("defaults", {registry.kind: defaults(registry) for registry in registries})

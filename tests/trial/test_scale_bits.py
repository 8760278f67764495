"""Scales in protected memory are counted, whatever their shape."""

from __future__ import annotations

import dataclasses

import pytest

from campaign.formats import FORMATS
from campaign.spec.grid import Targets
from campaign.trial.setup import prepare

SHAPES = {"conv1.weight": (16, 9), "conv2.weight": (32, 144), "linear.weight": (10, 512)}
GROUPS = sum(rows * -(-columns // 32) for rows, columns in SHAPES.values())
CHANNELS = sum(rows for rows, _ in SHAPES.values())


@pytest.mark.parametrize(
    ("dtype", "options", "constants"),
    [
        ("fp32", {}, 0),
        ("q2_5", {}, 0),
        ("mxfp4", {}, 0),  # stored beside the weights
        ("int8", {}, 3),
        ("int8", {"scheme": "asymmetric"}, 6),
        ("int8", {"per": "channel"}, CHANNELS),
        ("int4", {"per": "group", "group_size": 32}, GROUPS),
    ],
)
def test_every_scale_of_32_bits_is_counted(
    make_setup, network, digits, dtype: str, options: dict[str, object], constants: int
) -> None:
    setup = dataclasses.replace(make_setup("fp32"), dtype=FORMATS.make(dtype, options))
    assert prepare(setup, network, digits).scale_bits == 32 * constants


@pytest.mark.parametrize(("dtype", "constants"), [("fp32", 0), ("int8", 1)])
@pytest.mark.parametrize("kinds", [(), ("weights",)])
def test_scales_of_stored_activations_are_counted_too(
    make_setup, network, digits, dtype: str, constants: int, kinds: tuple[str, ...]
) -> None:
    setup = make_setup(dtype, targets=Targets(kinds=kinds, activations=True))
    ready = prepare(setup, network, digits, digits)
    assert ready.neurons is not None
    held = len(ready.neurons.places) + (len(SHAPES) if kinds else 0)
    assert len(ready.neurons.places) == len(SHAPES)
    assert ready.scale_bits == 32 * constants * held

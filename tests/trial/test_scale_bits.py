"""Scales in protected memory are counted, whatever their shape."""

from __future__ import annotations

import dataclasses

import pytest

from campaign.formats import FORMATS
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

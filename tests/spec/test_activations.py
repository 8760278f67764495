"""What a spec may expose of activations, and what is said where it has no meaning."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from campaign.runner.plan import plan_campaign
from campaign.spec.grid import Targets
from campaign.spec.load import Loaded

TARGETS = "targets: {activations: true}"
ALONE = "targets: {weights: false, activations: true}"
REFUSED = {
    "channels": (
        {
            "name: x": f"name: x\n{TARGETS}\nprofile: {{images: 10}}",
            "fp32": "{int8: {per: channel}}",
        },
        "8:3: grid.method: activations: int8(per=channel) has scales of its own for parts of a "
        "tensor; take a format of one scale or none, such as int8, q3_12 or fp16; "
        "exclude {dtype: int8(per=channel), method: none}",
    ),
    "blocks": (
        {"name: x": f"name: x\n{TARGETS}", "fp32": "mxint8"},
        "7:3: grid.method: activations: mxint8 has scales of its own for parts of a "
        "tensor; take a format of one scale or none, such as int8, q3_12 or fp16; "
        "exclude {dtype: mxint8, method: none}",
    ),
    "whole memory": (
        {"name: x": f"name: x\n{TARGETS}\nfault: {{exact_flips: {{count: 3}}}}"},
        "3:1: fault: exact_flips chooses among all bits at once, and activations are written image "
        "by image; take bit_flip, or leave out targets.activations",
    ),
    "permanent cells": (
        {"name: x": f"name: x\n{TARGETS}\nfault: stuck_at"},
        "3:1: fault: stuck_at is of permanent cells, and those of activations are not modelled; "
        "take bit_flip, or leave out targets.activations",
    ),
    "search without faults": (
        {"name: x": f"name: x\n{ALONE}\nprofile: {{images: 10}}", "none": "ft_clipact"},
        "8:3: grid.method: ft_clipact: searches under faults in weights, and none is exposed; "
        "use threshold: profiled; exclude {dtype: fp32, method: ft_clipact}",
    ),
    "nothing to protect": (
        {"name: x": f"name: x\n{ALONE}", "none": "parity"},
        "7:3: grid.method: parity: acts on weights, which are not exposed; expose them, or leave "
        "it out; exclude {dtype: fp32, method: parity}",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_meaning_is_told_in_one_line(
    case: str, problems: Callable[..., list[str]]
) -> None:
    changes, line = REFUSED[case]
    assert problems(changes) == [line]


@pytest.mark.parametrize(
    ("old", "new", "learner"),
    [
        ("fp32", "int8", "the scale of activations in int8"),
        ("1e-6", "1e-6\n  nonfinite: clamp", "the bound of activations (nonfinite: clamp)"),
    ],
)
def test_what_learns_from_a_profile_asks_for_one(
    problems: Callable[..., list[str]], old: str, new: str, learner: str
) -> None:
    (line,) = problems({"name: x": f"name: x\n{TARGETS}", old: new})
    assert f"{learner} learns from images that trials are not judged on" in line


def test_a_plan_does_not_guess_how_many_bits_activations_take(
    read: Callable[..., Loaded],
) -> None:
    plan = plan_campaign(read({"name: x": f"name: x\n{TARGETS}"}).spec, {}, 0)
    assert [(setup.bits, setup.expected_flips()) for setup in plan.setups] == [(None, [])]
    assert list(plan.warnings()) == [
        "how many bits activations take, and so how many flip, is known once it runs"
    ]


def test_layers_are_chosen_by_module_and_parameters_by_name() -> None:
    targets = Targets(include=("layer1*",), exclude=("*.downsample*",), activations=True)
    assert targets.match_layer("layer1.0.conv1")
    assert not targets.match_layer("layer2.0.conv1")
    assert not targets.match_layer("layer1.0.downsample.0")
    assert targets.match("layer1.0.conv1.weight", "weights")
    assert not Targets().match_layer("layer1.0.conv1")

"""The specs of the two papers say what they claim, and can be planned without data."""

from pathlib import Path

import pytest

from campaign.runner.plan import plan_campaign
from campaign.spec.load import load

SPECS = Path(__file__).parents[2] / "specs"
BITS = {"resnet18": 11_678_912, "resnet50": 25_502_912}
"""Weights of convolutions and linear layers: 11,689,512 and 25,557,032 parameters less 1,000 biases
and two for each of 4,800 and 26,560 BatchNorm channels."""


@pytest.mark.parametrize("path", sorted(SPECS.glob("imagenet_*.yaml")), ids=lambda path: path.stem)
def test_specs_of_imagenet_can_be_planned_anywhere(path: Path) -> None:
    plan = plan_campaign(load(path, environment={}).spec, {}, 0)
    assert plan.trials > 1000
    for row in plan.setups:
        if row.setup.model_name in BITS and row.setup.targets.kinds == ("weights",):
            assert row.bits is not None
            width, only = row.setup.dtype.width, row.setup.targets.only_bits
            exempt = len(row.setup.targets.exempt_bits)
            counted = 1 if only else width - exempt
            assert row.bits == counted * BITS[row.setup.model_name]


def test_one_run_separates_the_readings_of_t() -> None:
    plan = plan_campaign(load(SPECS / "imagenet_t_hypotheses.yaml", environment={}).spec, {}, 0)
    row = next(r for r in plan.setups if r.setup.label.startswith("resnet18 · fp32 · none"))
    flips = dict(row.expected_flips())
    assert flips[1e-5] == pytest.approx(3_740, rel=2e-3)
    assert flips[1e-5] / 32 == pytest.approx(117, rel=2e-3)
    ts = {r.setup.t for r in plan.setups if r.setup.dtype.label == "fp32"}
    assert ts == {None, 1.0, 1.99, 2.0**120, 2.0**126, 2.0**127}
    spared = [
        r
        for r in plan.setups
        if r.setup.key[:5] == row.setup.key[:5]
        and r.setup.targets.label == "weights; bits exempt: exponent_msb"
    ]
    assert [r.bits for r in spared] == [row.bits * 31 // 32]
    assert len(plan.setups) == 2 * sum(not r.setup.targets.exempt_bits for r in plan.setups)

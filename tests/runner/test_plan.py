"""The size of the memory that a plan states, against the rows of a run."""

from __future__ import annotations

from math import prod

import pytest

from campaign.engines.stores.reader import read_results
from campaign.runner.plan import SetupPlan, plan_campaign
from campaign.sources import MODELS
from campaign.spec.load import load
from tests.runner.conftest import Campaign


def planned(campaign: Campaign) -> dict[str, SetupPlan]:
    setups = plan_campaign(load(campaign.path).spec, {}, 0).setups
    return {row.setup.dtype.label: row for row in setups if row.setup.method == "none"}


@pytest.fixture
def scaled(campaign: Campaign) -> Campaign:
    campaign.edit("[fp32, q2_5]", "[fp32, mxfp4, mxfp8_e4m3]")
    campaign.edit("seeds: 3", "seeds: 1")
    return campaign


def test_stored_scales_are_counted_and_only_tails_are_missing(scaled) -> None:
    scaled.run()
    weights = [v.shape for n, v in MODELS.make("digits_cnn").state().items() if "weight" in n]
    blocks = sum(shape[0] * -(-prod(shape[1:]) // 32) for shape in weights)
    count, plans = sum(map(prod, weights)), planned(scaled)
    held = {row["dtype"]: row["exposed_bits"] for row in read_results(scaled.results).to_pylist()}
    assert held["fp32"] == plans["fp32"].bits == 32 * count
    assert not plans["fp32"].bits_are_about
    for dtype, width in (("mxfp4", 4), ("mxfp8_e4m3", 8)):
        assert held[dtype] == width * count + 8 * blocks
        assert plans[dtype].bits == width * count + 8 * -(-count // 32)
        assert plans[dtype].bits_are_about
        assert not plans[dtype].bits_are_bound


@pytest.mark.parametrize(
    "targets",
    ["{exempt_bits: [exponent, sign]}", "{only_bits: [exponent, 0]}", "{only_bits: checks}"],
)
def test_bits_of_copies_are_counted_as_the_run_does(campaign: Campaign, targets: str) -> None:
    campaign.edit("[fp32, q2_5]", "[fp32, fp16]")
    campaign.edit("seeds: 3", "seeds: 1")
    copies = "nmr, {nmr: {vote: median}}, selective, {msb_copy: {bits: 3}}, parity"
    campaign.edit("[none, range_clamp]", f"[{copies}]")
    campaign.edit("output:", f"targets: {targets}\noutput:")
    campaign.run()
    setups = plan_campaign(load(campaign.path).spec, {}, 0).setups
    plans = {(row.setup.dtype.label, row.setup.method): row.bits for row in setups}
    held = read_results(campaign.results).to_pylist()
    assert {(r["dtype"], r["method"]): r["exposed_bits"] for r in held} == plans


def test_scales_alone_are_counted_where_they_alone_flip(scaled: Campaign) -> None:
    scaled.edit("[fp32, mxfp4, mxfp8_e4m3]", "[mxfp4, mxfp8_e4m3]")
    scaled.edit("output:", "targets: {only_bits: scale}\noutput:")
    count = sum(
        prod(v.shape) for n, v in MODELS.make("digits_cnn").state().items() if "weight" in n
    )
    for row in planned(scaled).values():
        assert row.bits == 8 * -(-count // 32)
        assert row.bits_are_about


def test_where_only_some_bits_flip_no_scale_is_counted(scaled) -> None:
    scaled.edit("output:", "targets: {only_bits: sign}\noutput:")
    scaled.run()
    plans = planned(scaled)
    for row in read_results(scaled.results).to_pylist():
        assert row["exposed_bits"] == plans[row["dtype"]].bits
    assert not any(row.bits_are_about for row in plans.values())


def test_a_plan_of_single_faults_says_how_many_a_margin_takes(campaign: Campaign) -> None:
    campaign.edit("ber: [1.0e-3, 1.0e-2]", "ber: [1.0e-3]")
    campaign.edit("output:", "fault: single_flip\noutput:")
    said = list(plan_campaign(load(campaign.path).spec, {}, 0).warnings())
    bits = planned(campaign)["fp32"].bits
    assert (
        f"a margin of 1 % takes 9,604 single faults of {bits:,} at 95 % confidence, 16,588 at "
        "99 %; 3 are planned" in said[0]
    )
    assert "takes as many faults in it alone" in said[-1]

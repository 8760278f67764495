"""Attacks from a spec to rows."""

from __future__ import annotations

import pytest

from campaign.errors import SpecError
from campaign.runner.plan import plan_campaign
from campaign.spec.load import load
from tests.runner.conftest import Campaign

TAIL = "\nfault: {bit_flip_attack: {count: 3}}\nprofile: {images: 100}\n"


@pytest.fixture
def attacked(campaign: Campaign) -> Campaign:
    campaign.edit("ber: [1.0e-3, 1.0e-2]", "ber: [1.0e-3]")
    campaign.edit("seeds: 3", "seeds: 1")
    campaign.path.write_text(campaign.path.read_text("utf-8") + TAIL, "utf-8")
    return campaign


@pytest.mark.parametrize(
    ("fault", "profile"),
    [
        ("bit_flip_attack: {count: 3}", "{images: 100}"),
        ("sign_attack: {count: 3, passes: 1}", "{images: 100}"),
        ("sign_attack: {count: 3}", "null"),
        ("exact_flips: {count: 3}", "null"),
    ],
)
def test_as_many_bits_flip_as_planned(attacked, fault: str, profile: str, ear) -> None:
    attacked.edit("bit_flip_attack: {count: 3}", fault)
    attacked.edit("{images: 100}", profile)
    plan = plan_campaign(load(attacked.path).spec, {}, 0)
    assert {tuple(setup.expected_flips()) for setup in plan.setups} == {((1e-3, 3.0),)}
    attacked.run(ear=ear)
    assert {(record.ber > 0, record.flipped_bits) for record in ear.records} == {
        (False, 0),
        (True, 3),
    }
    assert len(ear.records) == 4 * (1 + 1)


@pytest.mark.parametrize("options", ["{count: 3}", "{count: 3, passes: 1}"])
def test_images_are_asked_for_only_where_they_are_needed(attacked, options: str) -> None:
    attacked.edit("bit_flip_attack: {count: 3}", f"sign_attack: {options}")
    attacked.edit("profile: {images: 100}", "")
    if "passes" not in options:
        assert load(attacked.path).spec.profile is None
        return
    with pytest.raises(SpecError, match="sign_attack learns from images"):
        load(attacked.path)


def test_a_format_without_a_sign_is_refused_before_anything_runs(attacked) -> None:
    attacked.edit("bit_flip_attack: {count: 3}", "sign_attack: {count: 3}")
    attacked.edit("[fp32, q2_5]", "[fp32, {int8: {scheme: asymmetric}}]")
    with pytest.raises(SpecError, match="sign_attack: no bit of a word is its sign"):
        load(attacked.path)

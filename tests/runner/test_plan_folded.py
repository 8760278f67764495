"""What a plan says of folded networks."""

from __future__ import annotations

from typing import Any

import pytest

from campaign.runner.plan import SetupPlan, plan_campaign
from campaign.spec.campaign import CampaignSpec


def planned(kinds: list[str], fold: bool) -> SetupPlan:
    """The one setup of a plan in fp32."""
    spec: dict[str, Any] = {
        "name": "plan",
        "models": ["torchvision/resnet18"],
        "dataset": "digits",
        "grid": {"dtype": ["fp32"], "method": ["none"], "ber": [1e-4], "seeds": 1},
        "targets": {k: k in kinds for k in ("weights", "biases", "norms")},
        "fold_batchnorm": fold,
    }
    (setup,) = plan_campaign(CampaignSpec.model_validate(spec), {}, 0).setups
    return setup


@pytest.mark.parametrize("kinds", [["weights"], ["biases"], ["norms"], ["biases", "norms"]])
def test_a_folded_network_has_at_most_the_planned_bits(kinds: list[str]) -> None:
    weights, channels, classes = 11_678_912, 4800, 1000
    after = {"weights": weights, "biases": channels + classes, "norms": 0}
    plan = planned(kinds, fold=True)
    assert plan.bits is not None
    assert plan.bits >= 32 * sum(after[kind] for kind in kinds)
    assert plan.bits_are_bound == (kinds != ["weights"])
    assert not planned(kinds, fold=False).bits_are_bound


def test_the_bound_of_biases_is_met_where_no_layer_had_one() -> None:
    assert planned(["biases"], fold=True).bits == 32 * (4800 + 1000)

"""Recipes as data: what they say, refuse and are called by."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, MultiStepLR, SequentialLR

from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.sources import Preprocess
from campaign.training import Recipe, fit_digest, trained_part
from campaign.training.rates import rate_factor

BAD: list[tuple[dict[str, Any], str]] = [
    ({"optimizer": "sdg"}, "unknown optimizer 'sdg' (did you mean 'sgd'?)"),
    (
        {"optimizer": {"sgd": {"momentum": 0, "nesterov": True}}},
        "nesterov needs a momentum above 0",
    ),
    ({"optimizer": {"sgd": {}, "adam": {}}}, "allowed: a optimizer name, or {name: {options}}"),
    ({"optimizer": {"sgd": 0.1}}, "sgd: got 0.1; allowed: a mapping of options"),
    ({"schedule": {"cosine": {"too": 0.1}}}, "Extra inputs are not permitted"),
    ({"augment": ["mirror"]}, "unknown augmentation 'mirror'"),
    ({"augment": [{"random_resized_crop": {"area": [0.9, 0.1]}}]}, "allowed: two shares"),
    ({"early_stop": {}, "validation_images": 0}, "early_stop needs validation_images above 0"),
    ({"epochs": 3, "warmup_epochs": 3}, "warmup_epochs must be below epochs, got 3 of 3"),
    ({"epochs": 0}, "greater than or equal to 1"),
    ({"precision": "fp8"}, "'fp32' or 'bf16'"),
]


@pytest.mark.parametrize(("raw", "text"), BAD, ids=str)
def test_bad_recipes_are_refused_in_a_line(raw: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(raw)
    told = [str(error["msg"]) for error in caught.value.errors()]
    assert any(text in line for line in told), told


def test_a_recipe_is_read_as_it_is_written_and_hashed_by_what_is_not_usual() -> None:
    raw = {"optimizer": {"adamw": None}, "schedule": "steps", "augment": ["flip", {"cutout": {}}]}
    recipe = Recipe.model_validate(raw)
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    assert Recipe.model_validate({"epochs": 5, "optimizer": "sgd"}).digest == Recipe().digest
    assert len({Recipe().digest, recipe.digest, Recipe(epochs=6).digest}) == 3


def test_what_decides_a_training_is_in_its_digest_and_nothing_else() -> None:
    def digest(*stack: Any, dtype: str = "fp32", **changed: Any) -> str:
        made = [METHODS.make(*method) for method in stack]
        fixed: dict[str, Any] = {"model": "m", "dataset": "d", "recipe": Recipe(), "seed": 0}
        methods = trained_part(made)
        return fit_digest(methods=methods, fmt=FORMATS.make(dtype), **fixed | changed)

    saf = ("trained_saf", {})
    usual = digest(saf)
    same = [
        digest(("trained_saf", {"recipe": "long"})),
        digest(saf, ("secded", {})),
        digest(("parity", {}), saf, dtype="int8"),
    ]
    assert set(same) == {usual}
    quantized = ("trained_saf", {"quantized": True})
    others = [
        digest(saf, seed=1),
        digest(saf, model="n"),
        digest(saf, dataset="e"),
        digest(saf, recipe=Recipe(epochs=9)),
        digest(("trained_saf", {"gains": True})),
        digest(("weight_clipping", {"trained": True}), saf),
        digest(quantized),
        digest(quantized, dtype="int8"),
        digest(saf, preprocess=Preprocess()),
        digest(saf, preprocess=Preprocess(mean=(0.5,))),
        digest(saf, workers=2),
    ]
    assert len({usual, *others}) == 12


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "steps"])
def test_rates_are_those_of_torchs_schedules(schedule: str) -> None:
    options = {"to": 0.1} if schedule in ("cosine", "linear") else {}
    recipe = Recipe.model_validate(
        {"epochs": 10, "warmup_epochs": 2, "schedule": {schedule: options}}
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    warm = LinearLR(optimizer, 1 / 14, 1.0, 13)
    if schedule == "steps":  # milestones count from the end of the warm-up
        then: Any = MultiStepLR(optimizer, [28 - 14, 42 - 14, 56 - 14], 0.1)
    elif schedule == "cosine":
        then = CosineAnnealingLR(optimizer, 56, eta_min=0.1)
    else:
        then = LinearLR(optimizer, 1.0, 0.1 if schedule == "linear" else 1.0, 56)
    expected = SequentialLR(optimizer, [warm, then], [14])
    for step in range(70):
        found = rate_factor(recipe, step, 7)
        assert found == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), step
        optimizer.step()
        expected.step()

"""The learning rate of each step."""

from __future__ import annotations

import math

from campaign.training.recipe import Constant, Recipe, Steps


def rate_factor(recipe: Recipe, step: int, steps: int) -> float:
    """What the learning rate of the recipe is multiplied by.

    Args:
        recipe: Says the schedule.
        step: From 0, over all epochs.
        steps: Of an epoch.

    Example:
        >>> recipe = Recipe(epochs=5, warmup_epochs=1, schedule="linear")
        >>> [rate_factor(recipe, step, 2) for step in range(10)]
        [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    """
    warm, total = recipe.warmup_epochs * steps, recipe.epochs * steps
    if step < warm:
        return (step + 1) / warm
    schedule = recipe.schedule
    if isinstance(schedule, Constant):
        return 1.0
    if isinstance(schedule, Steps):
        passed = sum(step >= round(share * total) for share in schedule.at)
        return float(schedule.factor**passed)
    done = (step - warm) / (total - warm)
    left = (1 + math.cos(math.pi * done)) / 2 if schedule.kind == "cosine" else 1 - done
    return schedule.to + (1 - schedule.to) * left

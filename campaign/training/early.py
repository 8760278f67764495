"""When a training stops early, decided by the metrics of its epochs alone."""

from __future__ import annotations

from collections.abc import Sequence

from campaign.training.job import EpochMetrics
from campaign.training.recipe import EarlyStop


def best_epoch(stop: EarlyStop, metrics: Sequence[EpochMetrics]) -> int:
    """The epoch, from 1, whose accuracy no later one exceeds by more than `stop.delta`.

    0 where there is no epoch yet.
    """
    best, highest = 0, float("-inf")
    for each in metrics:
        accuracy = each.validation_accuracy
        if accuracy is not None and accuracy > highest + (stop.delta if best else 0):
            best, highest = each.epoch, accuracy
    return best


def exhausted(stop: EarlyStop | None, metrics: Sequence[EpochMetrics]) -> bool:
    """Whether patience is at its end."""
    return stop is not None and len(metrics) - best_epoch(stop, metrics) >= stop.patience

"""Which values of a curve are told now, and which wait until their point has settled.

MLflow keeps every value that was ever logged at a step and draws them all. A point that is told
after each seed would be a smear, so a point is told when it is new, when its trials have doubled,
and when it has stopped changing; at the end everything is told.
"""

from __future__ import annotations

from collections.abc import Sequence

from campaign.engines.trackers.points import SUMMARY_METRICS, Key, Values


def contradicts(new: Values, told: Values) -> bool:
    """Whether a point was told with another value: MLflow would draw both, so the run is replaced.

    Example:
        >>> contradicts({("top1_mean", 1): 0.8}, {("top1_mean", 1): 0.7})
        True
    """
    return any(key in new and new[key] != value for key, value in told.items())


def due(new: Values, told: Values, seen: Values | None) -> Values:
    """The values to log now.

    Args:
        new: The curve as it is.
        told: The newest value of each metric and step in MLflow.
        seen: The curve at the previous call, empty at the first; None makes everything due.

    Returns:
        Those of `new` that differ from `told`, of all points that are due; with any of them the
        values of the whole curve.

    Example:
        >>> new = {("top1_mean", 1): 0.8, ("n_trials", 1): 5}
        >>> due(new, {("top1_mean", 1): 0.7, ("n_trials", 1): 4}, {})
        {}
        >>> due(new, {("top1_mean", 1): 0.7, ("n_trials", 1): 2}, {})
        {('top1_mean', 1): 0.8, ('n_trials', 1): 5}
    """
    stale = {key: value for key, value in new.items() if told.get(key) != value}
    if seen is None or not stale:
        return stale
    now, before, last = by_point(new), by_point(told), by_point(seen)
    ready = {
        point
        for point in {_point(key) for key in stale}
        if point not in before
        or last.get(point) == now[point]
        or _has_doubled(now[point], before[point])
    }
    if ready:
        ready.add(None)
    return {key: value for key, value in stale.items() if _point(key) in ready}


def by_point(values: Values) -> dict[int | None, Values]:
    """Values by step; None holds those of the whole curve."""
    points: dict[int | None, Values] = {}
    for key, value in values.items():
        points.setdefault(_point(key), {})[key] = value
    return points


def trials(values: Values) -> int:
    """How many trials, failed ones too, stand behind the values."""
    return int(sum(v for (metric, _), v in values.items() if metric in ("n_trials", "n_failed")))


def has_moved(told: Values, steps: Sequence[float]) -> bool:
    """Whether a step stood for another bit error rate when it was told."""
    return any(
        metric == "ber" and (step >= len(steps) or steps[step] != ber)
        for (metric, step), ber in told.items()
    )


def _point(key: Key) -> int | None:
    return None if key[0] in SUMMARY_METRICS else key[1]


def _has_doubled(now: Values, before: Values) -> bool:
    return trials(now) >= 2 * trials(before) > 0

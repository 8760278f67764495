"""The search of FT-ClipAct: the threshold of the largest area under accuracy and fault rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from campaign.faults.subject import Flips, Subject
    from campaign.networks.sites import Visit


class FaultMap(NamedTuple):
    """Flips, and how much the accuracy under them counts."""

    flips: Flips
    weight: int


def drawn_maps(subject: Subject, rates: Sequence[float], injections: int) -> list[FaultMap]:
    """Fault maps of every rate, with the weights of the trapezoidal rule.

    Those of one seed are nested across rates. Equal maps, such as those without a flip, stand once,
    with the sum of their weights.

    Args:
        subject: What draws them.
        rates: Bit error rates, probabilities, in any order; their intervals count as equally wide.
        injections: Maps at each rate.
    """
    found: dict[frozenset[tuple[object, bytes]], FaultMap] = {}
    ends = (0, len(rates) - 1)
    for place, rate in enumerate(sorted(rates)):
        weight = 1 if place in ends else 2
        for seed in range(injections):
            flips = subject.draw(rate, seed)
            what = frozenset((key, p.tobytes()) for key, p in flips.items() if p.size)
            before = found[what].weight if what in found else 0
            found[what] = FaultMap(flips, before + weight)
    return list(found.values())


def accuracy_area(subject: Subject, maps: Sequence[FaultMap], visit: Visit) -> float:
    """Weighted mean accuracy on the profile split under `maps`: an area in [0, 1].

    Args:
        subject: The network.
        maps: The faults.
        visit: Made at every site.
    """
    # Integers until the last step, so that equal thresholds have equal areas.
    right = sum(weight * subject.correct(flips, visit) for flips, weight in maps)
    return right / (subject.n_images * sum(weight for _, weight in maps))


def best_threshold(
    largest: float,
    area: Callable[[float], float],
    *,
    iterations: int,
    least_iterations: int,
    delta: float,
) -> float:
    """The threshold in [0, largest] with the largest area of all that an interval search tries.

    Args:
        largest: Where the interval ends at first; returned at once where it is not a finite
            number above 0.
        area: The area of a threshold; asked once for each.
        iterations: How often the interval is divided, at most.
        least_iterations: How often before the search may stop early.
        delta: It does where no two neighbours differ by more in area.

    Example:
        >>> options = {"iterations": 3, "least_iterations": 3, "delta": 0.0}
        >>> best_threshold(9.0, lambda threshold: -abs(threshold - 4), **options)
        4.0
    """
    if not 0 < largest < math.inf:
        return largest
    low, up, tried = 0.0, largest, dict[float, float]()
    for done in range(1, iterations + 1):
        points = [low, low + (up - low) / 3, low + (up - low) * 2 / 3, up]
        for point in points:
            if point not in tried:
                tried[point] = area(point)
        areas = [tried[point] for point in points]
        best = max(range(4), key=lambda i: (areas[i], i))
        low, up = points[max(best - 1, 0)], points[min(best + 1, 3)]
        if done >= least_iterations and max(abs(b - a) for a, b in pairwise(areas)) <= delta:
            break
    return max(tried, key=lambda point: (tried[point], point))

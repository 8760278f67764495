"""How many single faults a margin of error takes."""

from __future__ import annotations

import math

from scipy.special import ndtri


def sample_size(
    population: float = math.inf,
    *,
    margin: float,
    confidence: float = 0.95,
    share: float = 0.5,
    cutoff: float | None = None,
) -> int:
    """How many faults to draw to know a share of all of them.

    n = N / (1 + e^2 (N - 1) / (t^2 p (1 - p))), rounded up, where none of the N faults is drawn
    twice; t^2 p (1 - p) / e^2 where each is drawn from all. The seeds of ``single_flip`` are of the
    latter kind, they may repeat a fault: leave `population` out. A statement about each layer or
    each class of bits takes this many in each stratum, with its faults as population.
    Source: Leveugle et al., Statistical fault injection: quantified error and confidence, DATE
    2009.

    Args:
        population: N, the faults there are, where they are drawn without repeats; infinity where
            each is drawn from all.
        margin: e, half the width of the interval of the share.
        confidence: Of that interval.
        share: p, what the share is thought to be; 0.5 is the safe choice.
        cutoff: t; None takes the normal quantile of `confidence`. Tables in print have 1.96 for
            0.95 and 2.576 for 0.99.

    Raises:
        ValueError: If there is no fault, or a probability is not strictly between 0 and 1.

    Example:
        >>> sample_size(margin=0.01), sample_size(1000, margin=0.01)
        (9604, 906)
    """
    for value in (margin, confidence, share):
        if not 0.0 < value < 1.0:
            raise ValueError(f"got {value}; allowed: margin, confidence, share between 0 and 1")
    if not population >= 1:
        raise ValueError(f"got a population of {population}; allowed: at least 1")
    t = float(ndtri(0.5 + confidence / 2)) if cutoff is None else cutoff
    infinite = t * t * share * (1.0 - share) / (margin * margin)
    if math.isinf(population):
        return math.ceil(infinite * (1 - 1e-12))
    return math.ceil(population / (1.0 + (population - 1.0) / infinite) * (1 - 1e-12))

"""The mean accuracy of a cell to a wanted half-width: how many fault maps, how many images each.

Fault maps are taken in the order of their seeds; each is judged on a few images of its own
(`campaign.faults.images`), with and without faults. Every decision is a pure function of the rows
before it, so an interrupted campaign that is resumed decides alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field
from scipy.special import ndtri

from campaign.analysis.cell import CellHistory, Estimate, Sample, estimate, sample_of
from campaign.analysis.statistics import Array

FEWEST_IMAGES = 8
PILOT_IMAGES = 32
WORTH_A_LOOK = 0.85
"""Share of the maps that are thought to be needed from which on the interval is made."""
MOST_GROWTH, LEAST_GROWTH = 1.0, 0.1
"""A round adds at most and at least so many maps for each one there is."""


@dataclass(frozen=True)
class Precision:
    """How well the mean accuracy of each cell is to be known; the spec's section ``precision``.

    Args:
        half_width: Half the width of the interval, as a share of the images: 0.01 is one point.
        confidence: Its nominal coverage.
        max_seeds: Fault maps after which a cell is given up, and says so.
        min_seeds: Fault maps of the first round.
        map_cost: What a fault map costs before its first image, in images.
    """

    half_width: Annotated[float, Field(gt=0, lt=0.5, allow_inf_nan=False)] = 0.01
    confidence: Annotated[float, Field(ge=0.5, lt=1, allow_inf_nan=False)] = 0.95
    max_seeds: Annotated[int, Field(ge=2)] = 4000
    min_seeds: Annotated[int, Field(ge=2)] = 50
    map_cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 50.0


class Round(NamedTuple):
    """Maps to run next, before anything else is decided."""

    first: int
    """Place of the first one among the seeds."""
    seeds: int
    images: int
    """Images of each map."""


class Done(NamedTuple):
    """The cell needs no more maps."""

    reason: str
    """``precise``; ``max_seeds`` where the interval is wider than was wanted; ``failed`` where no
    trial has a result."""
    estimate: Estimate


def next_round(history: CellHistory, precision: Precision) -> Round | Done:
    """What to do for a cell after complete rounds: more maps, or nothing.

    Stops when the interval of `estimate` is at most twice the half-width. A rule of this kind stops
    when the spread happens to look small, so its interval covers too seldom if that spread may be
    0; Chow and Robbins add 1 / n to the variance, and here the map that is reckoned with at the
    worst does it, more strongly. Looks are rare: a round adds a tenth of the maps or more, at most
    as many as there are, else what the variance seen so far asks for.

    The images of a map are decided before it is drawn, by the least cost of maps (`map_cost`) and
    images that reaches the half-width, given the variance between maps and within them. So a
    map's images do not depend on its result.

    Coverage of a nominal 0.95 and images spent to know a cell to 0.01, of the digits network (600
    images) in fp32, 500 replications from 3,000 maps each (benchmarks/precision.py). ``fixed`` is
    what maps on the full set take for as narrow an interval, those without a flip left out:

    =====  ========  ========  =====  ======  =========  =====
    BER    accuracy  coverage   maps  images      fixed  ratio
    =====  ========  ========  =====  ======  =========  =====
    1e-6      0.976     0.986    285     896     49,325     55
    3e-6      0.970     0.988    405   2,646    127,662     48
    1e-5      0.939     0.960    831   7,541    738,432     98
    3e-5      0.869     0.968  1,802  15,613  1,779,007    114
    1e-4      0.690     0.964  3,695  30,764  3,359,400    109
    3e-4      0.367     0.958  4,121  34,166  2,781,600     81
    1e-3      0.125     0.972  1,024  17,307    409,200     24
    =====  ========  ========  =====  ======  =========  =====

    Where ruin is rare, the interval covers more often than it says: the price of being right there.

    Args:
        history: The rows of all rounds so far, none of a part of a round.
        precision: What is wanted.

    Source: Chow and Robbins, On the asymptotic theory of fixed-width sequential confidence
        intervals for the mean, Ann. Math. Statist. 36, 1965; the allocation: Cochran, Sampling
        Techniques, 1977, 10.6.
    """
    sample = sample_of(history)
    if _may_be_done(sample, precision):
        found = estimate(history, precision.confidence)
        if found.half_width <= precision.half_width:
            return Done("precise", _debiased(found, sample, precision))
    if len(history.failed) >= precision.min_seeds and not len(history.n_samples):
        return Done("failed", estimate(history, precision.confidence))
    left = precision.max_seeds - history.seeds
    if left <= 0:
        return Done("max_seeds", estimate(history, precision.confidence))
    if not history.seeds:
        seeds = min(precision.min_seeds, precision.max_seeds)
        return Round(0, seeds, min(PILOT_IMAGES, history.n_images))
    maps, images = _plan(sample, precision, history.n_images)
    grown = math.ceil(maps / sample.share) - len(history.n_samples)
    least, most = (math.ceil(rate * history.seeds) for rate in (LEAST_GROWTH, MOST_GROWTH))
    return Round(history.seeds, min(max(grown, least), most, left), images)


def outstanding(history: CellHistory, precision: Precision) -> Round | Done:
    """The first round of which not all maps are in `history`, or the end.

    Replays the decisions from the first row on: what is found does not depend on where an earlier
    session was interrupted. The rows of a part of a round are left out of the decisions.
    """
    seeds = 0
    while True:
        decision = next_round(history.first(seeds), precision)
        if isinstance(decision, Done) or seeds + decision.seeds > history.seeds:
            return decision
        seeds += decision.seeds


def _may_be_done(sample: Sample, precision: Precision) -> bool:
    """Whether it is worth making the interval, which takes longest."""
    count = len(sample.values)
    if count < 2:
        return True
    needed = _maps_needed(sample.values.var(ddof=1), sample, precision)
    return count >= WORTH_A_LOOK * float(needed)


def _debiased(found: Estimate, sample: Sample, precision: Precision) -> Estimate:
    """The estimate where the rule has stopped, less the bias that stopping gives it.

    N maps, of which the number depends on the spread seen, have sum S with E S = mu E N, so the
    bias of S / N is -cov(N, S / N) / E N: a cell that happens to show no ruined map stops sooner.
    N moves with the variance v as in `_maps_needed`, and cov(v, mean) is the third central moment
    over N. The interval stays. What is left is of second order: of cells of which a share of 0.005
    to 0.2 is ruined, up to 0.06 of the half-width, an eighth of the standard error, and twice that
    without; of the cells of `next_round`, up to 0.08 at the two lowest BERs.
    """
    count = len(sample.values)
    if count < 3:
        return found
    third = float(((sample.values - sample.values.mean()) ** 3).mean())
    variance = sample.values.var(ddof=1)
    step = 1e-3 * float(variance) + 1e-12
    needed = _maps_needed(np.array([variance, variance + step]), sample, precision)
    bias = -float(needed[1] - needed[0]) / step * third / count**2
    accuracy = found.accuracy - sample.share * bias
    return found._replace(accuracy=min(max(accuracy, found.low), found.high))


def _plan(sample: Sample, precision: Precision, n_images: int) -> tuple[float, int]:
    """Maps that flip a bit, in all, and images of each from now on, at the least cost."""
    few = len(sample.values) < 2
    between = 0.0 if few else max(float(sample.values.var(ddof=1)) - sample.noise, 0.0)
    sizes = 2.0 ** np.arange(math.log2(FEWEST_IMAGES), math.log2(n_images))
    sizes = np.append(sizes[sizes < n_images], n_images)
    variance = between + sample.within / sizes * (1 - sizes / n_images)
    maps = _maps_needed(variance, sample, precision)
    best = int(np.argmin(maps * (precision.map_cost + sizes)))
    return float(maps[best]), int(sizes[best])


def _maps_needed(variance: Array | np.float64, sample: Sample, precision: Precision) -> Array:
    """Maps after which the interval is narrow enough.

    One unseen map, anywhere in the range R, with a weight that is exponential of mean 1 among n:
    half = R / 2n + z sqrt(v / n + R^2 / 2n^2), solved for 1 / n. For v = 0 it is 1.89 R / n, where
    the rule of three has 1.84.
    """
    z = float(ndtri((1 + precision.confidence) / 2))
    reach, half = sample.limits[1] - sample.limits[0], precision.half_width / sample.share
    square = reach**2 * (z * z / 2 - 0.25)
    linear = half * reach + z * z * variance
    needed: Array = (linear + np.sqrt(linear**2 + 4 * square * half**2)) / (2 * half**2)
    return needed

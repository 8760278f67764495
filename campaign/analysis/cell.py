"""The mean accuracy of a cell, from fault maps that are judged on a few images each.

A cell is a setup at one bit error rate. Its mean accuracy is that without faults, known exactly,
plus the mean over fault maps of the *difference* that a map makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from campaign.analysis.statistics import Array, mean_interval

Counts = npt.NDArray[np.int64]
FOLDS = 10
LEAST_IN_STRATUM = 10.0
"""Maps that a stratum of worst-class flips must be expected to hold."""
LEAST_GAIN = 0.1
"""Share of the variance that the strata must explain before they are used."""


class FlipChances(NamedTuple):
    """What is known of the faults before any is drawn."""

    untouched: float
    """Probability that a map flips no bit at all."""
    worst: Array
    """Probabilities of 0, 1, ... flips in the worst class of bits; the last is of so many or more.
    They sum to 1."""


def independent_flips(ber: float, exposed_bits: int, worst_bits: int) -> FlipChances:
    """The chances where every exposed bit flips with probability `ber`, independently.

    Args:
        ber: Bit error rate, a probability.
        exposed_bits: Bits that may flip.
        worst_bits: How many of them are in the worst class, such as the exponent's most
            significant bit: one for each exposed float.

    Example:
        >>> independent_flips(0.5, 4, 2).worst.round(9).tolist()
        [0.25, 0.5, 0.25]
    """
    most = int(binom.isf(1e-6, worst_bits, ber)) if worst_bits else 0
    counts = np.arange(most + 1)
    worst = binom.pmf(counts, worst_bits, ber)
    worst[-1] = 1.0 if most == 0 else binom.sf(most - 1, worst_bits, ber)
    return FlipChances(float(binom.pmf(0, exposed_bits, ber)), worst)


@dataclass(frozen=True)
class CellHistory:
    """The rows of one cell so far, in the order of seeds; counts, each of shape (maps,).

    Args:
        n_images: Images of the full set.
        n_right: How many of them are right without faults.
        n_samples: Images of each map. (Columns of `campaign.records` where of the same name.)
        n_correct: Right under faults.
        n_improved: Right under faults and wrong without.
        n_fault_free: Right without faults, of the same images.
        flipped_bits: Bits that differ from the stored image.
        flipped_worst: Those of them in the worst class of bits.
        chances: None where the fault model does not flip bits independently: then neither
            untouched maps nor the worst class have a known weight, and neither is used.
        failed: Places among the seeds so far, from 0, of those whose trial has no result; they are
            spent, and not in the arrays.
    """

    n_images: int
    n_right: int
    n_samples: Counts
    n_correct: Counts
    n_improved: Counts
    n_fault_free: Counts
    flipped_bits: Counts
    flipped_worst: Counts
    chances: FlipChances | None = None
    failed: tuple[int, ...] = ()

    @property
    def seeds(self) -> int:
        """How many seeds were spent."""
        return len(self.n_samples) + len(self.failed)

    def first(self, seeds: int) -> CellHistory:
        """The history as it was after the first `seeds` seeds."""
        failed = tuple(place for place in self.failed if place < seeds)
        cut = {name: getattr(self, name)[: seeds - len(failed)] for name in _COLUMNS}
        return CellHistory(self.n_images, self.n_right, **cut, chances=self.chances, failed=failed)


_COLUMNS = (
    "n_samples",
    "n_correct",
    "n_improved",
    "n_fault_free",
    "flipped_bits",
    "flipped_worst",
)


class Estimate(NamedTuple):
    """The mean accuracy of a cell and what was spent on it."""

    accuracy: float
    low: float
    high: float
    seeds: int
    images: int
    """Images judged under maps that flip a bit; the others are known without evaluation."""
    stratified: bool
    """Whether the count of worst-class flips was used."""

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


class Sample(NamedTuple):
    """Maps that flip a bit, each with a value whose mean is the mean difference of such maps."""

    values: Array
    limits: tuple[float, float]
    """Between which a value can lie."""
    share: float
    """Probability of such a map."""
    within: float
    """Variance of one image's difference about its map's."""
    noise: float
    """Variance of `values` that comes from the choice of images."""
    stratified: bool


def estimate(history: CellHistory, confidence: float = 0.95) -> Estimate:
    """The mean accuracy over fault maps and its interval.

    A map's value is the share of its images that are right, less the share of the same images that
    are right without faults; the known fault-free accuracy is added at the end (a control variate
    with coefficient 1). Maps without any flip make no difference: where their probability is known,
    the other maps alone are averaged and weighed with the rest. Where the number of flips in the
    worst class of bits explains a tenth of the variance, it is stratified on: from each value goes
    the mean of its stratum in the *other* folds of maps, and the average of these means over the
    known chances of the strata comes back, so nothing is biased by the fit. Strata are runs of
    counts, chosen by their chances alone.

    The interval is `mean_interval`'s of these values: one more map, at the worst, is always
    reckoned with, and a cell where no harm was seen gets the rule of three, not a width of 0.

    Args:
        history: At least the size of the full set; no map is needed.
        confidence: Nominal coverage.

    Source: the variance of stratifying afterwards: Cochran, Sampling Techniques, 1977, 5A.9;
        fitting on other folds: Wager et al., PNAS 113, 2016. For the interval see `mean_interval`.
    """
    sample = sample_of(history)
    low, high = sample.limits
    if len(sample.values) > 1:
        bounds = mean_interval(sample.values[None], level=confidence, limits=sample.limits)
        low, high = float(bounds.low[0]), float(bounds.high[0])
    clean = history.n_right / history.n_images
    mean = float(sample.values.mean()) if len(sample.values) else 0.0
    accuracy, low, high = (clean + sample.share * value for value in (mean, low, high))
    return Estimate(
        min(max(accuracy, 0.0), 1.0),
        max(low, 0.0),
        min(high, 1.0),
        history.seeds,
        int(history.n_samples[history.flipped_bits > 0].sum()),
        sample.stratified,
    )


def sample_of(history: CellHistory) -> Sample:
    """The maps that say something, with what their values may be."""
    touched = np.ones(len(history.n_samples), dtype=bool)
    if history.chances is not None:
        touched = history.flipped_bits > 0
    n = history.n_samples[touched].astype(np.float64)
    values = (history.n_correct - history.n_fault_free)[touched] / n
    # Of the differences -1, 0, 1 of the images, how many are not 0.
    changed = 2 * history.n_improved[touched] / n - values
    within = (changed - values**2) * n / np.maximum(n - 1, 1)
    noise = within / n * (1 - n / history.n_images)
    clean = history.n_right / history.n_images
    # A sample of few images may be a little better without faults than the full set.
    limits = (float(values.min(initial=-clean)), float(values.max(initial=1 - clean)))
    share = 1.0 if history.chances is None else 1 - history.chances.untouched
    means = (float(within.mean()), float(noise.mean())) if len(n) else (0.0, 0.0)
    plain = Sample(values, limits, share, *means, False)
    return plain if history.chances is None else _stratified(plain, history, touched)


def _stratified(plain: Sample, history: CellHistory, touched: npt.NDArray[np.bool_]) -> Sample:
    """The sample with the worst class of bits accounted for, where this helps."""
    assert history.chances is not None
    if len(plain.values) < 2 * LEAST_IN_STRATUM or plain.values.std() == 0:
        return plain
    chances = history.chances.worst.copy()
    chances[0] = max(chances[0] - history.chances.untouched, 0.0)
    chances /= plain.share
    stratum_of = _strata(chances * len(plain.values))
    weights = np.bincount(stratum_of, weights=chances)
    stratum = stratum_of[np.minimum(history.flipped_worst[touched], len(chances) - 1)]
    if len(weights) == 1:
        return plain
    known = _means_elsewhere(plain.values, stratum, len(weights))  # (FOLDS, strata)
    shifts = (known @ weights)[:, None] - known
    values = plain.values + shifts[np.arange(len(stratum)) % FOLDS, stratum]
    if values.var() > (1 - LEAST_GAIN) * plain.values.var():
        return plain
    limits = (plain.limits[0] + shifts.min(), plain.limits[1] + shifts.max())
    return plain._replace(values=values, limits=limits, stratified=True)


def _strata(expected: Array) -> npt.NDArray[np.intp]:
    """The stratum of each count: runs of counts with at least so many maps expected in each."""
    stratum, held = np.zeros(len(expected), dtype=np.intp), 0.0
    for count in range(1, len(expected)):
        held += float(expected[count - 1])
        full = held >= LEAST_IN_STRATUM and expected[count:].sum() >= LEAST_IN_STRATUM
        stratum[count] = stratum[count - 1] + full
        held = 0.0 if full else held
    return stratum


def _means_elsewhere(values: Array, stratum: npt.NDArray[np.intp], strata: int) -> Array:
    """The mean of each stratum over the maps of the other folds, (FOLDS, strata)."""
    place = np.arange(len(values)) % FOLDS * strata + stratum
    shape = (FOLDS, strata)
    sums = np.bincount(place, weights=values, minlength=FOLDS * strata).reshape(shape)
    counts = np.bincount(place, minlength=FOLDS * strata).reshape(shape)
    sums, counts = sums.sum(0) - sums, counts.sum(0) - counts
    overall = sums.sum(1, keepdims=True) / counts.sum(1, keepdims=True)
    means: Array = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
    return means

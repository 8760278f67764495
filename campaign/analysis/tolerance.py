"""The bit error rate a network tolerates: where its mean accuracy has fallen by so much."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from campaign.analysis.rows import CURVE_KEYS, Metric, as_trials, heads, numbered
from campaign.analysis.sampled import adjusted_accuracy
from campaign.analysis.statistics import LEVEL, seed_weights
from campaign.text import rate_text

Array = npt.NDArray[np.float64]
DROPS = (0.01, 0.05)


def tolerated_ber(
    rows: object, drops: Sequence[float] = DROPS, *, metric: Metric = "top1"
) -> pd.DataFrame:
    """The BER at which the mean accuracy has fallen `drop` below the clean one, for each curve.

    Between measured BERs the mean is taken as linear in log BER; the first crossing counts. The
    95 % interval resamples whole seeds (Bayesian bootstrap): the faults of one seed are nested
    over BERs, so a seed's curve is one unit. It says how much the answer depends on the fault maps
    that were drawn; it allows for no map worse than all of these (`statistics.mean_interval` does,
    and no accuracy drop as small as a point can be excluded so with less than some 350 maps).

    Args:
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        drops: Absolute falls of accuracy, in (0, 1): 0.01 is one point.
        metric: ``top1`` or ``top5``.

    Returns:
        One row a curve, sorted: the columns of `CURVE_KEYS`, ``n_seeds`` (with a result at a BER
        above 0), and for each drop ``ber_at_1pt, _low, _high`` (named after the drop in points).
        Each of these has a column ``..._note`` that is empty beside a number and says beside NaN
        what is known: ``> 1e-3`` (not fallen so far at the largest BER measured), ``< 1e-6``
        (fallen further at the smallest), ``no clean accuracy``, ``no results``, ``one seed``.

    Raises:
        CampaignError: If the rows cannot be analysed; see `rows.as_trials`.
        ValueError: If a drop is not in (0, 1).
    """
    if not all(0 < drop < 1 for drop in drops):
        raise ValueError(f"drops: got {list(drops)}; allowed: shares in (0, 1), 0.01 for one point")
    return tolerance_of(as_trials(rows), drops, metric)


def tolerance_of(
    trials: pd.DataFrame, drops: Sequence[float] = DROPS, metric: Metric = "top1"
) -> pd.DataFrame:
    """The same of what `rows.as_trials` gave."""
    number = numbered(trials, CURVE_KEYS)
    columns = [
        trials["ber"].to_numpy(),
        np.unique(trials["seed"], return_inverse=True)[1].astype(float),
        adjusted_accuracy(trials, metric),
    ]
    order = np.argsort(number, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    found = [_of_curve([column[part] for column in columns], drops) for part in parts]
    joined = pd.concat([heads(trials, number, CURVE_KEYS), pd.DataFrame(found)], axis=1)
    return joined.sort_values(CURVE_KEYS, na_position="first", ignore_index=True)


def column_of(drop: float) -> str:
    """The column of a drop.

    Example:
        >>> column_of(0.05), column_of(0.005)
        ('ber_at_5pt', 'ber_at_0.5pt')
    """
    return f"ber_at_{100 * drop:.4g}pt"


def crossing(bers: Array, means: Array, target: float) -> Array:
    """Where each row of `means` first falls to `target`.

    Args:
        bers: Shape (k,), above 0, ascending.
        means: Shape (rows, k), finite.
        target: The accuracy to fall to.

    Returns:
        Shape (rows,): a BER, linear between neighbours in log BER; 0 where the first mean is at
        `target` or below, inf where the last is above it.
    """
    reached = means <= target
    last = reached.argmax(axis=1)
    rows, before = np.arange(len(means)), np.maximum(last - 1, 0)
    upper, lower = means[rows, before], means[rows, last]
    fall = np.where(upper > lower, upper - lower, 1.0)
    share = (upper - target) / fall
    logs = np.log(bers)
    between = np.exp(logs[before] + share * (logs[last] - logs[before]))
    return np.where(reached.any(axis=1), np.where(last > 0, between, 0.0), math.inf)


def _of_curve(trials: list[Array], drops: Sequence[float]) -> dict[str, object]:
    """The columns of one curve from the BER, seed and accuracy (or NaN) of its trials."""
    known = ~np.isnan(trials[2])
    clean = trials[2][known & (trials[0] == 0)]
    faulty = known & (trials[0] > 0)
    bers, values = _by_seed(*(column[faulty] for column in trials))
    means = _means(values) if len(bers) else values
    found: dict[str, object] = {"n_seeds": len(values)}
    for drop in drops:
        target = float(clean.mean()) - drop if clean.size else math.nan
        ends = zip(("", "_low", "_high"), _noted_bounds(bers, means, target), strict=True)
        for end, (value, note) in ends:
            found[f"{column_of(drop)}{end}"] = value
            found[f"{column_of(drop)}{end}_note"] = note
    return found


def _by_seed(bers: Array, seeds: Array, values: Array) -> tuple[Array, Array]:
    """The BERs, ascending (k,), and the values as a table (seeds, k), NaN where there is none."""
    columns, column = np.unique(bers, return_inverse=True)
    rows, row = np.unique(seeds, return_inverse=True)
    table = np.full((len(rows), len(columns)), math.nan)
    table[row, column] = values
    return columns, table


def _means(values: Array) -> Array:
    """Mean accuracy at each BER: first over all seeds, then over every draw of them."""
    present = ~np.isnan(values)
    weights = seed_weights(len(values)) if len(values) > 1 else np.empty((0, 1))
    weights = np.vstack([np.ones(len(values)), weights])
    means: Array = (weights @ np.where(present, values, 0.0)) / (weights @ present)
    return means


def _noted_bounds(bers: Array, means: Array, target: float) -> list[tuple[float, str]]:
    """The crossing, the lower and the upper bound, each with its note."""
    if math.isnan(target) or not len(bers):
        return [(math.nan, "no results" if not len(bers) else "no clean accuracy")] * 3
    best, *drawn = np.asarray(crossing(bers, means, target))
    if not drawn:
        return [_noted(best, bers), (math.nan, "one seed"), (math.nan, "one seed")]
    tail = math.floor((1 - LEVEL) / 2 * len(drawn))
    low, high = np.sort(drawn)[[tail, -1 - tail]]
    return [_noted(float(ber), bers) for ber in (best, low, high)]


def _noted(ber: float, bers: Array) -> tuple[float, str]:
    if ber == 0:
        return math.nan, f"< {rate_text(bers[0])}"
    return (ber, "") if math.isfinite(ber) else (math.nan, f"> {rate_text(bers[-1])}")

"""Trainings that were judged on the same fault maps: their spread, and the interval of the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from campaign.analysis.rows import METRICS, Metric
from campaign.analysis.statistics import LEVEL

Shares: TypeAlias = "NDArray[np.float64]"
_READ = ("train_seed", "seed", "n_samples")


class Crossed(NamedTuple):
    """What trainings and fault maps add."""

    sd_trainings: float
    """Of the true means of trainings, not below 0."""
    half_width: float
    """Of the 95 % interval of the mean over trainings and maps to come."""


def crossed(shares: Shares) -> Crossed:
    """Take the spreads of trainings and maps apart.

    Args:
        shares: Accuracies, (trainings, maps), both at least 2; each column is one map.

    Source: Searle, Casella and McCulloch, Variance Components, 1992, chapter 4 (two-way crossed
        layout, one observation a cell, all random); degrees of freedom by Satterthwaite, Biometrics
        Bulletin 2(6), 1946.

    Example:
        >>> round(crossed(np.array([[0.8, 0.9], [0.5, 0.7]])).sd_trainings ** 2, 9)
        0.03
    """
    rows, columns = shares.shape
    by_training, by_map = shares.mean(1), shares.mean(0)
    rest = shares - by_training[:, None] - by_map + shares.mean()
    free = (rows - 1) * (columns - 1)
    trainings = columns * float(np.var(by_training, ddof=1))
    maps = rows * float(np.var(by_map, ddof=1))
    both = float((rest**2).sum()) / free
    total = max(trainings + maps - both, trainings, maps)
    spread = math.sqrt(max(trainings - both, 0.0) / columns)
    if total == 0:
        return Crossed(spread, 0.0)
    degrees = total**2 / (trainings**2 / (rows - 1) + maps**2 / (columns - 1) + both**2 / free)
    quantile = float(student.ppf((1 + LEVEL) / 2, degrees))
    return Crossed(spread, quantile * math.sqrt(total / shares.size))


def crossed_points(trials: pd.DataFrame, metric: Metric, keys: Sequence[str]) -> pd.DataFrame:
    """`crossed` for each point whose trainings all have a result on all of its maps.

    Args:
        trials: What `rows.as_trials` gives.
        metric: ``top1`` or ``top5``.
        keys: What trainings of one point share.

    Returns:
        The columns of `keys`, ``sd_trainings`` and ``half_width``, as shares.
    """
    trained = trials["train_seed"].notna() & (trials["ber"] > 0)
    known = trials.loc[trained, [*dict.fromkeys([*keys, *_READ, METRICS[metric]])]]
    known = known.assign(share=known[METRICS[metric]] / known["n_samples"])
    found = []
    for key, part in known.groupby(list(keys), dropna=False, sort=False, observed=True):
        table = part.pivot_table(index="train_seed", columns="seed", values="share", dropna=False)
        alike = part["n_samples"].nunique(dropna=False) == 1
        if alike and min(table.shape) > 1 and not table.isna().to_numpy().any():
            found.append((*key, *crossed(table.to_numpy(float))))
    return pd.DataFrame(found, columns=[*keys, *Crossed._fields])

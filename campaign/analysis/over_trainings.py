"""One curve for each method where several networks were trained for it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from campaign.analysis.curves import curves_of, with_clean
from campaign.analysis.rows import CURVE_KEYS, METRICS, Metric, numbered
from campaign.analysis.statistics import IntervalName
from campaign.analysis.trainings import KEYS, trainings

_NETWORK_KEYS = [key for key in CURVE_KEYS if key != "train_seed"]


def trained_often(frame: pd.DataFrame) -> pd.Series:
    """Which rows belong to one of several trainings of the same curve.

    Args:
        frame: Anything with the columns of `CURVE_KEYS`: trials, points, a summary.
    """
    seeds = frame.groupby(numbered(frame, _NETWORK_KEYS))["train_seed"].transform("nunique")
    return (seeds > 1) & frame["train_seed"].notna()


def unsaid(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of `rows.as_trials`, `train_seed` left empty where there are several."""
    return trials.assign(train_seed=trials["train_seed"].mask(trained_often(trials)))


def points_over_trainings(
    trials: pd.DataFrame, points: pd.DataFrame, interval: IntervalName
) -> pd.DataFrame:
    """What `curves.curves` gives, with one curve for all trainings of a method.

    Means and intervals are those of `trainings.trainings`: every training has the same weight, and
    the interval is that of the mean over trainings and maps to come. Spread and quantiles are those
    of all trials together.

    Args:
        trials: What `rows.as_trials` gave.
        points: What `curves.curves_of` gave for them, without estimates.
        interval: How intervals of curves with one training are made.

    Returns:
        The columns of `points` and ``n_trainings``, 1 where a network was trained once or not.
    """
    together = curves_of(unsaid(trials), interval).assign(n_trainings=1)
    metric: Metric
    for metric in METRICS:  # type: ignore[assignment]
        known = trainings(points, metric, trials=trials)
        if known.empty:
            continue
        columns = ["n_trainings", "mean", "low", "high"]
        found = together[KEYS].merge(known[[*KEYS, *columns]], "left", KEYS)
        several = found["n_trainings"].notna().to_numpy()
        for column in columns:
            name = column if column == "n_trainings" else f"{metric}_{column}"
            together.loc[several, name] = found.loc[several, column].to_numpy()
    return with_clean(together)


def mean_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each fault map: the counts of its trials, averaged over trainings.

    Args:
        trials: What `rows.as_trials` gave.

    Returns:
        The trials with no or one training as they are; of the others those with a result, numbers
        averaged, `train_seed` empty, one row a map, so that a mean over maps is one over trainings
        too. Where every training failed on a map, a failed row is left.
    """
    several = trained_often(trials).to_numpy()
    part = unsaid(trials)[several]
    part = part.assign(_lost=part["status"] != "ok").sort_values("_lost", kind="stable")
    maps = numbered(part, [*_NETWORK_KEYS, "ber", "seed"])
    first = part.groupby(maps, sort=False).head(1).drop(columns="_lost")
    numbers = [c for c in part.select_dtypes(np.floating) if c not in ("t", "train_seed", "ber")]
    good = ~part["_lost"].to_numpy(bool)
    means = part.loc[good, numbers].groupby(maps[good], sort=False).mean()
    first = first.reset_index(drop=True)
    first.loc[: len(means) - 1, numbers] = means.to_numpy()
    return pd.concat([trials[~several], first], ignore_index=True)

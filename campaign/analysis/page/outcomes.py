"""What became of the images of each point, what failed, and what was spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from campaign.analysis.rows import POINT_KEYS, heads, numbered

CLASSES = {"masked": "n_masked", "benign": "n_benign", "sdc": "n_sdc", "due": "n_nonfinite"}
"""Class of outcome -> column of counts. A logit that is not finite is a detected error (DUE)."""
FAILURE_KEYS = ["status", "error_type", "error"]


class Spent(NamedTuple):
    """What a campaign took."""

    trials: int
    failed: int
    seconds: float
    """Of all trials together, as their workers measured them."""
    gpu_seconds: float
    """Those of them on a CUDA device."""
    first: float
    """When the first of its trials ended, seconds since the epoch."""
    last: float


def outcomes(trials: pd.DataFrame, classes: Mapping[str, str] = CLASSES) -> pd.DataFrame:
    """Shares of images in each class, over all trials of a point that gave a result.

    Args:
        trials: What `rows.as_trials` gives.
        classes: Class -> column of counts.

    Returns:
        The columns of `POINT_KEYS`, then those of `classes`; sorted as `curves.curves` sorts, so
        rows stand beside each other. NaN where no trial gave a result or classes are not known.
        Where all of `CLASSES` are known, they sum to 1.
    """
    cells = numbered(trials, POINT_KEYS)
    table = heads(trials, cells, POINT_KEYS)
    good = (trials["status"] == "ok").to_numpy()
    images = trials["n_samples"].to_numpy(float)
    for name, column in classes.items():
        counts = trials[column].to_numpy(float)
        known = good & ~np.isnan(counts)
        held = np.bincount(cells[known], weights=counts[known], minlength=len(table))
        of = np.bincount(cells[known], weights=images[known], minlength=len(table))
        with np.errstate(invalid="ignore"):
            table[name] = held / of
    return table.sort_values(POINT_KEYS, na_position="first", ignore_index=True)


def failures(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each reason why trials have no result, the most frequent first.

    Returns:
        ``status``, ``error_type``, ``error`` (empty where not known), ``trials`` (how many),
        ``trial_id`` (of the first of them, in the order of the rows).
    """
    lost = trials.loc[trials["status"] != "ok", [*FAILURE_KEYS, "trial_id"]]
    lost = lost.assign(**{key: lost[key].astype(object).fillna("") for key in FAILURE_KEYS})
    found = lost.groupby(FAILURE_KEYS, sort=True).agg(
        trials=("trial_id", "size"), trial_id=("trial_id", "first")
    )
    return found.reset_index().sort_values("trials", ascending=False, kind="stable")


def spent(trials: pd.DataFrame) -> Spent:
    """What all trials took together."""
    gpu = trials["device"].astype(str).str.startswith("cuda").to_numpy()
    seconds = trials["seconds"].to_numpy(float)
    return Spent(
        len(trials),
        int((trials["status"] != "ok").sum()),
        float(seconds.sum()),
        float(seconds[gpu].sum()),
        float(trials["finished_at"].min()),
        float(trials["finished_at"].max()),
    )

"""Two protections compared on the same faults."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from campaign.analysis.labels import method_label
from campaign.analysis.rows import POINT_KEYS, Metric, accuracy, as_trials, numbered
from campaign.analysis.statistics import IntervalName, mean_interval, wilson
from campaign.errors import CampaignError

_SHARED = [key for key in POINT_KEYS if key not in ("method", "t")]
_OURS = ["seed", "accuracy", "flips_digest"]


def paired(
    rows: object, a: str, b: str, *, metric: Metric = "top1", interval: IntervalName = "bounded"
) -> pd.DataFrame:
    """The accuracy of `a` less that of `b`, seed by seed, at every point where both were run.

    Methods of equal word size see the same payload faults for one seed, so the difference is known
    better than either mean.

    Args:
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        a: A method as figures call it: ``saf``, ``weight_scaling · t=2``; without the t where the
            method was run with one t only.
        b: Another.
        metric: ``top1`` or ``top5``.
        interval: How the intervals are made; see `statistics.mean_interval`.

    Returns:
        One row a point, sorted: its columns, ``a`` and ``b`` (labels), ``n_pairs``,
        ``n_unpaired`` (trials with a result whose partner has none), ``a_mean``, ``b_mean``,
        ``difference``, ``difference_sd``, ``difference_low``, ``difference_high`` (95 % interval;
        NaN for one pair), ``a_better``, with ``_low`` and ``_high`` (share of pairs, Wilson), and
        ``same_flips`` (share of pairs whose flipped bits, check bits included, are the same).

    Raises:
        CampaignError: If a method is not in the rows, or stands for several values of t.
    """
    trials = as_trials(rows)
    trials = trials.assign(accuracy=accuracy(trials, metric))
    label_a, left = _of_method(trials, a)
    label_b, right = _of_method(trials, b)
    keys = [*_SHARED, "seed"]
    both = left[[*_SHARED, *_OURS]].merge(
        right[[*_SHARED, *_OURS]], on=keys, how="outer", suffixes=("_a", "_b")
    )
    points = both.groupby(numbered(both, _SHARED), sort=False)
    found = [{**_point(group, interval), "a": label_a, "b": label_b} for _, group in points]
    frame = pd.DataFrame(found).sort_values(_SHARED, ignore_index=True)
    return frame[[*_SHARED, "a", "b", *(c for c in frame if c not in (*_SHARED, "a", "b"))]]


def _of_method(trials: pd.DataFrame, asked: str) -> tuple[str, pd.DataFrame]:
    """The label of a method, and its trials with a result."""
    kinds = trials[["method", "t"]].drop_duplicates()
    labels = {method_label(m, t): (m, t) for m, t in kinds.itertuples(index=False)}
    meant = [label for label, (m, _) in labels.items() if asked in (label, m)]
    if len(meant) != 1:
        problem = "is not in the rows" if not meant else f"stands for {len(meant)} values of t"
        raise CampaignError(f"{asked!r} {problem}; allowed: {', '.join(sorted(labels))}")
    method, t = labels[meant[0]]
    same_t = trials["t"].isna() if np.isnan(t) else trials["t"] == t
    return meant[0], trials[(trials["method"] == method) & same_t & trials["accuracy"].notna()]


def _point(group: pd.DataFrame, interval: IntervalName) -> dict[str, object]:
    pairs = group[group["accuracy_a"].notna() & group["accuracy_b"].notna()]
    better = float((pairs["accuracy_a"] > pairs["accuracy_b"]).sum())
    share = wilson(np.array(better), np.array(float(len(pairs))))
    same = (pairs["flips_digest_a"] == pairs["flips_digest_b"]).to_numpy(float)
    difference = (pairs["accuracy_a"] - pairs["accuracy_b"]).to_numpy(float)
    return {
        **{key: group[key].iloc[0] for key in _SHARED},
        "n_pairs": len(pairs),
        "n_unpaired": len(group) - len(pairs),
        "a_mean": pairs["accuracy_a"].mean(),
        "b_mean": pairs["accuracy_b"].mean(),
        **_difference(difference, interval),
        "a_better": better / len(pairs) if len(pairs) else np.nan,
        "a_better_low": float(share.low),
        "a_better_high": float(share.high),
        "same_flips": same.mean() if len(pairs) else np.nan,
    }


def _difference(values: npt.NDArray[np.float64], interval: IntervalName) -> dict[str, float]:
    low, high = mean_interval(values[None], interval=interval, limits=(-1.0, 1.0))
    return {
        "difference": float(values.mean()) if len(values) else np.nan,
        "difference_sd": float(values.std(ddof=1)) if len(values) > 1 else np.nan,
        "difference_low": float(low[0]),
        "difference_high": float(high[0]),
    }

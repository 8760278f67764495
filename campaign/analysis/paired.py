"""Two protections of one campaign compared on the same faults."""

from __future__ import annotations

import numpy as np
import pandas as pd

from campaign.analysis.comparison import Comparison, Side, compare, together
from campaign.analysis.labels import method_label
from campaign.analysis.rows import Metric, as_trials
from campaign.analysis.sequential import Precision
from campaign.analysis.statistics import IntervalName
from campaign.errors import SpecError


def paired(
    rows: object,
    method: str,
    baseline: str,
    *,
    metric: Metric = "top1",
    interval: IntervalName = "bootstrap",
    precision: Precision | None = None,
) -> Comparison:
    """The accuracy of a protection less that of another, at every cell where both were run.

    Methods of equal word size see the same payload faults for one seed, so the difference is known
    better than either mean.

    Args:
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        method: A method as figures call it: ``saf``, ``weight_scaling · t=2``; without the t where
            the method was run with one t only.
        baseline: The method from which differences are counted.
        metric: ``top1`` or ``top5``.
        interval: How intervals are made; see `comparison.compare`.
        precision: What decided how many trials there are; see `curves.curves`.

    Raises:
        SpecError: If a method is not in the rows, or stands for several values of t.
    """
    trials = as_trials(rows)
    sides = [_of_method(trials, asked, precision) for asked in (baseline, method)]
    return compare(*sides, across=("method", "t"), metric=metric, interval=interval)


def against(
    rows: object,
    baseline: str,
    *,
    metric: Metric = "top1",
    interval: IntervalName = "bootstrap",
    precision: Precision | None = None,
) -> list[Comparison]:
    """Every other protection of the rows less `baseline`; p-values are adjusted over all.

    Raises:
        SpecError: If the baseline is not in the rows, is alone, or stands for several values of t.
    """
    trials = as_trials(rows)
    base, labels = _of_method(trials, baseline, precision).name, _labels(trials)
    others = [label for label in labels if label != base]
    if not others:
        raise SpecError(f"{base!r} is the only method in the rows; nothing to compare it with")
    return together(
        [
            paired(trials, label, base, metric=metric, interval=interval, precision=precision)
            for label in others
        ]
    )


def _labels(trials: pd.DataFrame) -> dict[str, tuple[str, float]]:
    kinds = trials[["method", "t"]].drop_duplicates().itertuples(index=False)
    return {method_label(m, t): (m, t) for m, t in kinds}


def _of_method(trials: pd.DataFrame, asked: str, precision: Precision | None) -> Side:
    labels = _labels(trials)
    exact = [asked] if asked in labels else []
    meant = exact or [label for label, (method, _) in labels.items() if asked == method]
    if len(meant) != 1:
        problem = "is not in the rows" if not meant else f"stands for {len(meant)} values of t"
        raise SpecError(f"{asked!r} {problem}; allowed: {', '.join(sorted(labels))}")
    method, t = labels[meant[0]]
    same_t = trials["t"].isna() if np.isnan(t) else trials["t"] == t
    return Side(meant[0], trials[(trials["method"] == method) & same_t], precision)

"""What each protection costs, and the bit error rate that it buys."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from campaign.analysis.pareto import undominated
from campaign.analysis.rows import (
    CURVE_KEYS,
    METRICS,
    VARIANT_KEYS,
    Metric,
    accuracy,
    as_trials,
    heads,
    numbered,
)
from campaign.analysis.tolerance import column_of, tolerance_of

COST_COLUMNS = [
    "n_weights",
    "stored_bits",
    "check_bits",
    "scale_bits",
    "constant_bits",
    "inference_operations",
    "protection_operations",
]
_READ = [*CURVE_KEYS, *COST_COLUMNS, "ber", "status", "n_samples", *METRICS.values()]
DROP = 0.05
"""The fall of accuracy whose BER counts as what a protection buys."""
Array = npt.NDArray[np.float64]


def costs(rows: object, metric: Metric = "top1") -> pd.DataFrame:
    """One row for each curve whose rows say what it costs, sorted.

    Args:
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        metric: ``top1`` or ``top5``.

    Returns:
        The columns of `CURVE_KEYS` and `COST_COLUMNS`; ``bits_per_weight`` (stored and check bits);
        ``total_bits_per_weight`` (scales and constants too); ``memory_overhead`` (check and
        constant bits over stored bits); ``operations_overhead`` (of protections over those of an
        inference); ``lowest_ber``, ``highest_ber`` (above 0); ``clean`` (accuracy, a share);
        the columns of `tolerance.tolerated_ber`;
        ``front_of_dtype`` (no other curve of the same model and dtype is as good in memory,
        operations and BER at a 5 point drop, and better in one) and ``front_of_model`` (the same
        over all dtypes of the model, in total bits per weight and that BER). Fronts are those of
        one variant and of estimates: intervals have no say in them. A curve whose clean accuracy is
        more than 5 points below the best of those it is compared with has fallen without any fault:
        it is on no front and beats none.

    Raises:
        CampaignError: If the rows cannot be analysed; see `rows.as_trials`.
    """
    trials = as_trials(rows)
    return costs_of(trials, tolerance_of(trials, metric=metric), metric)


def costs_of(trials: pd.DataFrame, found: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """The same of what `rows.as_trials` and `tolerance.tolerance_of` gave."""
    table = _measured(trials, metric)
    table = table.merge(found, on=CURVE_KEYS, how="left").sort_values(
        CURVE_KEYS, na_position="first", ignore_index=True
    )
    gains = at_least(table)
    memory, total = table["memory_overhead"], table["total_bits_per_weight"]
    within = np.column_stack([memory, table["operations_overhead"]])
    table["front_of_dtype"] = _front(table, [*VARIANT_KEYS, "model", "dtype"], within, gains)
    table["front_of_model"] = _front(table, [*VARIANT_KEYS, "model"], total.to_numpy(), gains)
    return table


def at_least(table: pd.DataFrame, drop: float = DROP) -> Array:
    """The BER that is known to be tolerated: shape (rows,), NaN where nothing is known.

    That is the estimate where there is one. A curve that does not fall within its BERs tolerates
    more than the largest, one that has fallen at the smallest may tolerate none.
    """
    column = column_of(drop)
    notes = table[f"{column}_note"].astype(str).str
    above, below = notes.startswith(">"), notes.startswith("<")
    more: Array = np.nextafter(table["highest_ber"].to_numpy(float), np.inf)
    return np.where(above, more, np.where(below, 0.0, table[column].to_numpy(float)))


def _measured(trials: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """The curves with a cost, what they cost and their clean accuracy."""
    told = (trials["status"] == "ok").to_numpy()
    for column in COST_COLUMNS:
        told = told & trials[column].notna().to_numpy()
    known = trials.loc[told, _READ]
    known = known[(known["n_weights"] > 0) & (known["inference_operations"] > 0)]
    curve = numbered(known, CURVE_KEYS)
    table = heads(known, curve, [*CURVE_KEYS, *COST_COLUMNS])
    memory = table["stored_bits"] + table["check_bits"]
    table["bits_per_weight"] = memory / table["n_weights"]
    protected = table["scale_bits"] + table["constant_bits"]
    table["total_bits_per_weight"] = (memory + protected) / table["n_weights"]
    extra = table["check_bits"] + table["constant_bits"]
    table["memory_overhead"] = extra / table["stored_bits"]
    table["operations_overhead"] = table["protection_operations"] / table["inference_operations"]
    faulty = known["ber"].where(known["ber"] > 0).groupby(curve)
    table["lowest_ber"], table["highest_ber"] = faulty.min().to_numpy(), faulty.max().to_numpy()
    clean = np.where(known["ber"] == 0, accuracy(known, metric), np.nan)
    table["clean"] = pd.Series(clean).groupby(curve).mean().to_numpy()
    return table


def _front(
    table: pd.DataFrame, keys: list[str], cost: Array, gains: Array
) -> npt.NDArray[np.bool_]:
    group, front = numbered(table, keys), np.zeros(len(table), dtype=bool)
    clean = table["clean"].to_numpy(float)
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        known = np.where(_unharmed(clean[members]), gains[members], np.nan)
        front[members] = undominated(cost[members].reshape(len(members), -1), known)
    return front


def _unharmed(clean: Array) -> npt.NDArray[np.bool_]:
    """Which of some networks answer without faults within `DROP` of the best of them."""
    best = np.max(clean, where=~np.isnan(clean), initial=0.0)
    kept: npt.NDArray[np.bool_] = clean >= best - DROP - 1e-9  # sums of shares are not exact
    return kept

"""Rows to curves: one row for each point, over its seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from campaign.analysis.rows import (
    CURVE_KEYS,
    METRICS,
    POINT_KEYS,
    Metric,
    accuracy,
    as_trials,
    heads,
    numbered,
)
from campaign.analysis.sampled import with_estimates
from campaign.analysis.sequential import Precision
from campaign.analysis.statistics import IntervalName, summarise

_RATES = {"sdc_rate": "n_sdc", "nonfinite_rate": "n_nonfinite", "masked_rate": "n_masked"}
_MEANS = {
    "flipped_bits_mean": "flipped_bits",
    "corrected_mean": "corrected",
    "detected_mean": "detected",
    "seconds_mean": "seconds",
    "stored_bits": "stored_bits",
    "check_bits": "check_bits",
}
_READ = ["status", "ber", "n_samples", "exposed_bits", *METRICS.values()]
_READ += [*_RATES.values(), *_MEANS.values()]
Cells = npt.NDArray[np.intp]
Array = npt.NDArray[np.float64]


def curves(
    rows: object, *, interval: IntervalName = "bounded", precision: Precision | None = None
) -> pd.DataFrame:
    """Every point of every curve, sorted by curve and BER.

    Failed trials are counted in ``n_failed`` and left out of all else.

    Args:
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        interval: How the 95 % interval of the mean is made; see `statistics.mean_interval`.
        precision: What decided how many trials there are, where they were judged on samples of the
            images.

    Returns:
        The columns of `POINT_KEYS`, then ``n_trials`` (that gave a result), ``n_failed``,
        ``n_samples`` (images in one trial); for m in top1, top5, as shares of images:
        ``{m}_mean, _sd, _median, _q05, _q95, _low, _high`` (the interval; NaN for one trial) and
        ``{m}_clean`` (mean at BER 0 of the same curve, NaN where it was not run); ``drop_mean``
        (top-1, clean less mean); ``flipped_bits_mean``, ``expected_flips`` (BER times exposed
        bits), ``stored_bits``, ``check_bits``, ``overhead`` (check over stored bits);
        ``sdc_rate``, ``nonfinite_rate``, ``masked_rate`` (shares of images); ``corrected_mean``,
        ``detected_mean`` (words a trial), ``seconds_mean``. Where trials were judged on samples of
        the images, those of `sampled.with_estimates` too.

    Raises:
        CampaignError: If the rows cannot be analysed; see `rows.as_trials`.
    """
    return curves_of(as_trials(rows), interval, precision)


def curves_of(
    trials: pd.DataFrame, interval: IntervalName = "bounded", precision: Precision | None = None
) -> pd.DataFrame:
    """The same of what `rows.as_trials` gave."""
    cells = numbered(trials, POINT_KEYS)
    count = int(cells.max()) + 1
    points = heads(trials, cells, POINT_KEYS)
    good = (trials["status"] == "ok").to_numpy()
    points["n_trials"] = np.bincount(cells[good], minlength=count)
    points["n_failed"] = np.bincount(cells[~good], minlength=count)
    points = pd.concat(
        [points, _results(trials.loc[good, _READ], cells[good], count, interval)], axis=1
    )
    points = with_estimates(points, trials, cells, precision)
    points = points.sort_values(POINT_KEYS, na_position="first", ignore_index=True)
    return with_clean(points)


def _results(
    trials: pd.DataFrame, cells: Cells, count: int, interval: IntervalName
) -> pd.DataFrame:
    """The columns that only trials with a result have a say in; shape (count, columns)."""
    samples = _sums(trials["n_samples"].to_numpy(), cells, count)
    columns: dict[str, Array] = {"n_samples": _means(trials["n_samples"].to_numpy(), cells, count)}
    metric: Metric
    for metric in METRICS:  # type: ignore[assignment]
        summary = summarise(accuracy(trials, metric), cells, count, interval)
        columns |= {f"{metric}_{name}": column for name, column in summary._asdict().items()}
    columns |= {c: _means(trials[source].to_numpy(), cells, count) for c, source in _MEANS.items()}
    expected = (trials["ber"] * trials["exposed_bits"]).to_numpy(float)
    columns["expected_flips"] = _means(expected, cells, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns["overhead"] = columns["check_bits"] / columns["stored_bits"]
        for column, source in _RATES.items():
            columns[column] = _sums(trials[source].to_numpy(), cells, count) / samples
    return pd.DataFrame(columns)


def with_clean(points: pd.DataFrame) -> pd.DataFrame:
    """The points with the fault-free accuracy of their curve."""
    curve = numbered(points, CURVE_KEYS)
    zero = (points["ber"] == 0).to_numpy()
    for metric in METRICS:
        clean = np.full(int(curve.max()) + 1, np.nan)
        clean[curve[zero]] = points.loc[zero, f"{metric}_mean"]
        points[f"{metric}_clean"] = clean[curve]
    points["drop_mean"] = points["top1_clean"] - points["top1_mean"]
    return points


def _sums(values: Array, cells: Cells, count: int) -> Array:
    known = ~np.isnan(values)
    return np.bincount(cells[known], weights=values[known], minlength=count).astype(float)


def _means(values: Array, cells: Cells, count: int) -> Array:
    """Mean of the known values of each cell; NaN where none is known."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means: Array = _sums(values, cells, count) / np.bincount(cells[known], minlength=count)
    return means

"""Points whose trials were judged on samples of the images: estimates in place of means."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from campaign.analysis.cell import estimate
from campaign.analysis.maps import MAP_COLUMNS, Clean, cell_history, maps_of, told
from campaign.analysis.rows import CURVE_KEYS, METRICS, Metric, accuracy, numbered
from campaign.analysis.sequential import Precision
from campaign.analysis.statistics import LEVEL

Cells = npt.NDArray[np.intp]
ESTIMATE_COLUMNS = ["estimated", "confidence", "images", "stop"]
_UNKNOWN = [f"{metric}_{name}" for metric in METRICS for name in ("sd", "median", "q05", "q95")]


def is_sampled(trials: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which trials under faults were judged on a sample of the images."""
    sampled: npt.NDArray[np.bool_] = (
        (trials["ber"] > 0) & (trials["status"] == "ok") & trials["n_fault_free"].notna()
    ).to_numpy(bool)
    return sampled


def adjusted_accuracy(trials: pd.DataFrame, metric: Metric) -> npt.NDArray[np.float64]:
    """`rows.accuracy`, where a sample of images has had its luck taken out.

    The top-1 accuracy of a sampled trial is that of the full set without faults plus the difference
    that the faults make on the sample; a little outside of [0, 1] is possible. Of top-5 it is not
    known how many are right without faults on the sample, so it is the share as it is.
    """
    plain, sampled = accuracy(trials, metric), is_sampled(trials)
    if metric != "top1" or not sampled.any():
        return plain
    curve = numbered(trials, CURVE_KEYS)
    free = ((trials["ber"] == 0) & (trials["status"] == "ok")).to_numpy()
    clean = np.full(int(curve.max()) + 1, np.nan)
    clean[curve[free]] = plain[free]
    luck = (trials["n_fault_free"] / trials["n_samples"]).to_numpy(float) - clean[curve]
    return np.where(sampled & ~np.isnan(luck), plain - luck, plain)


def with_estimates(
    points: pd.DataFrame, trials: pd.DataFrame, cells: Cells, precision: Precision | None
) -> pd.DataFrame:
    """The points, with estimates where trials were judged on samples; as they are where none was.

    Args:
        points: One row for each cell, by its number.
        trials: What `rows.as_trials` gives.
        cells: The cell of each trial.
        precision: What decided how many trials there are, None where it is not known: then no
            decision is replayed, and all maps up to the first missing seed count.

    Returns:
        `points` with ``top1_mean``, ``top1_low`` and ``top1_high`` of the estimate, ``n_trials``
        and ``n_failed`` of its maps, NaN for the spread of maps (samples of images have one of
        their own), and the columns `ESTIMATE_COLUMNS`: whether it is one, the nominal coverage of
        its interval, images judged, and ``stop`` as of `maps.Told`.
    """
    sampled = is_sampled(trials)
    if not sampled.any():
        return points
    points = points.assign(estimated=False, confidence=LEVEL, images=np.nan, stop="")
    points["n_trials"] = points["n_trials"].astype(np.int64)
    chosen = np.zeros(len(points), dtype=bool)
    chosen[cells[sampled]] = True
    points.loc[chosen, _UNKNOWN] = np.nan
    curve = numbered(trials, CURVE_KEYS)
    free = (trials["ber"] == 0) & (trials["status"] == "ok") & trials["n_fault_free"].notna()
    clean = {c: Clean.of(row) for c, row in zip(curve[free], _rows(trials[free]), strict=True)}
    order = np.argsort(cells, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(cells))[:-1])
    found = pd.DataFrame.from_dict(
        {
            cell: _estimated(trials.iloc[part], clean[curve[part[0]]], precision)
            for cell, part in enumerate(parts)
            if chosen[cell] and curve[part[0]] in clean
        },
        orient="index",
    )
    for column in found:
        points.loc[found.index, column] = found[column]
    return points


def _estimated(
    trials: pd.DataFrame, clean: Clean, precision: Precision | None
) -> dict[str, object]:
    """The columns of one cell."""
    first = trials.iloc[0]
    history = cell_history(
        clean, maps_of(_rows(trials)), ber=float(first["ber"]), fault=str(first["fault"])
    )
    if precision is None:
        found, stop, failed = estimate(history, LEVEL), "", len(history.failed)
    else:
        found, stop, failed = told(history, precision)
    return {
        "top1_mean": found.accuracy,
        "top1_low": found.low,
        "top1_high": found.high,
        "n_trials": found.seeds - failed,
        "n_failed": failed,
        "estimated": True,
        "confidence": LEVEL if precision is None else precision.confidence,
        "images": float(found.images),
        "stop": stop,
    }


def _rows(trials: pd.DataFrame) -> Iterator[dict[str, object]]:
    columns = [trials[column].tolist() for column in MAP_COLUMNS]
    for values in zip(*columns, strict=True):
        yield dict(zip(MAP_COLUMNS, values, strict=True))

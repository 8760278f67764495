"""The cells of a comparison: which are paired, how far they differ, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri

from campaign.analysis.curves import curves_of
from campaign.analysis.rows import METRICS, Metric, accuracy, as_trials
from campaign.analysis.sequential import Precision
from campaign.analysis.significance import permutation, sign_flip
from campaign.analysis.statistics import LEVEL, IntervalName, summarise, wilson

Array = npt.NDArray[np.float64]
_DIGITS = 12
"""Of a BER, so that one written in two ways is the same."""
OTHER_IMAGES = "other test images"
OTHER_NUMBER = "another number of images"
CELL_COLUMNS = [
    *("how", "why", "n_a", "n_b", "n_pairs", "mean_a", "mean_b"),
    *("difference", "difference_sd", "low", "high", "n_equal", "n_better"),
    *("better_low", "better_high", "same_flips", "p"),
]


class Held(NamedTuple):
    """One side: its points, and its trials with a result."""

    points: pd.DataFrame
    """One row for each cell: the columns of a point, ``n, mean, low, high, sampled, level, images,
    stored, check``."""
    trials: pd.DataFrame
    """The columns of a point, ``seed, value`` (accuracy), ``right`` (images), ``digest``."""


def held_of(
    rows: object, metric: Metric, interval: IntervalName, precision: Precision | None
) -> Held:
    """What is compared of a side's rows."""
    trials = as_trials(rows)
    trials["ber"] = [float(f"{ber:.{_DIGITS - 1}e}") for ber in trials["ber"]]
    points = curves_of(trials, interval, precision)
    sampled = points["estimated"].astype(bool) if "estimated" in points else False
    points = points.assign(
        n=points["n_trials"].astype(np.int64),
        mean=points[f"{metric}_mean"],
        low=points[f"{metric}_low"],
        high=points[f"{metric}_high"],
        sampled=sampled,
        level=points["confidence"] if metric == "top1" and "confidence" in points else LEVEL,
        images=points["n_samples"],
        stored=points["stored_bits"],
        check=points["check_bits"],
    )
    trials = trials.assign(
        value=accuracy(trials, metric), right=trials[METRICS[metric]], digest=trials["flips_digest"]
    )
    return Held(points, trials[trials["value"].notna()].reset_index(drop=True))


_OF_POINT = ["n", "mean", "low", "high", "sampled", "level", "images", "stored", "check"]
_OF_TRIAL = ["seed", "value", "right", "digest"]


def joined(a: Held, b: Held, keys: Sequence[str], across: Sequence[str]) -> pd.DataFrame:
    """Every cell of either side: `keys`, the columns of both with ``_a`` and ``_b``, ``in``."""
    parts = [side.points[[*keys, *across, *_OF_POINT]] for side in (a, b)]
    renamed = [
        part.rename(columns={c: f"{c}_{name}" for c in [*across, *_OF_POINT]})
        for part, name in zip(parts, "ab", strict=True)
    ]
    cells = renamed[0].merge(renamed[1], on=list(keys), how="outer", indicator="in")
    return cells.sort_values(list(keys), na_position="first", ignore_index=True)


def compared(
    cells: pd.DataFrame,
    a: Held,
    b: Held,
    keys: Sequence[str],
    *,
    interval: IntervalName,
    why: str = "",
) -> pd.DataFrame:
    """The cells that both sides have, with the columns `CELL_COLUMNS`; `why` none may be paired."""
    whole = {"n_a": np.int64, "n_b": np.int64}
    found = cells.astype(whole).assign(cell=np.arange(len(cells)))
    pairs = _pairs(found, a, b, keys)
    place, count = pairs["cell"].to_numpy(np.intp), len(found)
    found["n_pairs"] = np.bincount(place, minlength=count)
    same = (pairs["digest_a"] == pairs["digest_b"]).to_numpy(float)
    with np.errstate(invalid="ignore"):
        found["same_flips"] = np.bincount(place, same, count) / found["n_pairs"]
    found["why"] = _why_unpaired(found, known="method" in keys, why=why)
    other_images = found["why"].isin([OTHER_IMAGES, OTHER_NUMBER])
    exact = (found["ber"] == 0) & (found["n_a"] == 1) & (found["n_b"] == 1) & ~other_images
    found["how"] = np.select([exact, found["why"] == ""], ["exact", "paired"], "unpaired")
    found.loc[exact, "why"] = ""
    columns = pd.concat(
        [
            _of_pairs(pairs[(found["how"] == "paired").to_numpy()[place]], count, interval),
            found["how"],
        ],
        axis=1,
    )
    for row in np.flatnonzero(found["how"] != "paired"):
        values = [side.trials for side in (a, b)]
        columns.loc[row, list(_OF_MEANS)] = _of_means(found.iloc[row], values, keys)
    return pd.concat([found.drop(columns=["how", "mean_a", "mean_b"]), columns], axis=1)


def _pairs(cells: pd.DataFrame, a: Held, b: Held, keys: Sequence[str]) -> pd.DataFrame:
    """Trials of both sides with the same seed, with the number of their cell."""
    left, right = (side.trials[[*keys, *_OF_TRIAL]] for side in (a, b))
    both = left.merge(right, on=[*keys, "seed"], suffixes=("_a", "_b"))
    return both.merge(cells[[*keys, "cell"]], on=list(keys))


def _why_unpaired(cells: pd.DataFrame, *, known: bool, why: str) -> pd.Series[str]:
    """Why the trials of each cell are no pairs; empty where they are.

    Args:
        cells: With ``n_pairs`` and ``same_flips``.
        known: Whether both sides have the same check words, so that equal faults must have equal
            fingerprints; without check words they must anyway.
        why: That none are, whatever the trials say.
    """
    must_equal = ((cells["check_a"] == 0) & (cells["check_b"] == 0)) | known
    reasons = {
        "other flips for the same seeds": must_equal & (cells["same_flips"] < 1),
        "no seeds in common": cells["n_pairs"] == 0,
        "words of another size": cells["stored_a"] != cells["stored_b"],
        OTHER_NUMBER: cells["images_a"] != cells["images_b"],
        "maps were judged on samples of the images": cells["sampled_a"] | cells["sampled_b"],
    }
    found = pd.Series("", index=cells.index, dtype=object)
    for reason, holds in reasons.items():
        found[holds] = reason
    return pd.Series(why, index=cells.index, dtype=object) if why else found


def _of_pairs(pairs: pd.DataFrame, count: int, interval: IntervalName) -> pd.DataFrame:
    """The columns of paired cells, shape (count, columns); NaN for others."""
    place = pairs["cell"].to_numpy(np.intp)
    gap = (pairs["value_b"] - pairs["value_a"]).to_numpy(float)
    images = (pairs["right_b"] - pairs["right_a"]).to_numpy(np.int64)
    number = np.bincount(place, minlength=count).astype(float)
    told = summarise((gap + 1) / 2, place, count, interval)
    better = np.bincount(place, images > 0, count).astype(float)
    share = wilson(better, number)
    with np.errstate(invalid="ignore"):
        columns = {
            "mean_a": np.bincount(place, pairs["value_a"], count) / number,
            "mean_b": np.bincount(place, pairs["value_b"], count) / number,
            "difference": np.bincount(place, gap, count) / number,
        }
    columns |= {"difference_sd": 2 * told.sd, "low": 2 * told.low - 1, "high": 2 * told.high - 1}
    columns |= {"n_equal": np.bincount(place, images == 0, count), "n_better": better}
    columns |= {"better_low": share.low, "better_high": share.high, "p": np.full(count, np.nan)}
    for members in _members(place, count):
        if len(members) > 1:
            columns["p"][place[members[0]]] = sign_flip(images[members])
    frame = pd.DataFrame(columns)
    frame.loc[number == 0, ["n_equal", "n_better"]] = np.nan
    return frame


def _members(place: npt.NDArray[np.intp], count: int) -> list[npt.NDArray[np.intp]]:
    order = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place, minlength=count))
    return np.split(order, ends[:-1]) if count else []


_OF_MEANS = ("mean_a", "mean_b", "difference", "low", "high", "p")


def _of_means(
    cell: pd.Series, trials: Sequence[pd.DataFrame], keys: Sequence[str]
) -> tuple[float, ...]:
    """The columns `_OF_MEANS` of a cell without pairs."""
    mean_a, mean_b = float(cell["mean_a"]), float(cell["mean_b"])
    gap = mean_b - mean_a
    if cell["how"] == "exact":
        return mean_a, mean_b, gap, gap, gap, np.nan
    below = float(np.hypot(mean_b - cell["low_b"], cell["high_a"] - mean_a))
    above = float(np.hypot(cell["high_b"] - mean_b, mean_a - cell["low_a"]))
    if cell["level_a"] != cell["level_b"]:
        return mean_a, mean_b, gap, np.nan, np.nan, np.nan
    if cell["why"] in (OTHER_IMAGES, OTHER_NUMBER):
        p = np.nan  # the choice of images is no noise of fault maps
    elif cell["sampled_a"] or cell["sampled_b"]:
        p = _of_width(gap, below if gap > 0 else above, float(cell["level_a"]))
    else:
        p = permutation(*(_values(side, cell, keys) for side in trials))
    return mean_a, mean_b, gap, gap - below, gap + above, p


def _of_width(gap: float, width: float, level: float) -> float:
    """The p-value of a normal mean whose interval reaches `width` towards 0."""
    if gap == 0 or width == 0:
        return float(gap == 0)
    return float(2 * ndtr(-ndtri((1 + level) / 2) * abs(gap) / width))


def _values(trials: pd.DataFrame, cell: pd.Series, keys: Sequence[str]) -> Array:
    same = np.ones(len(trials), dtype=bool)
    for key in keys:
        wanted = cell[key]
        same &= (trials[key].isna() if pd.isna(wanted) else trials[key] == wanted).to_numpy()
    return trials.loc[same, "value"].to_numpy(float)

"""Published numbers beside measured ones: do they agree?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from scipy.special import ndtri

from campaign.analysis.claim_cells import asked_for, matches
from campaign.analysis.curves import curves_of
from campaign.analysis.rows import CURVE_KEYS, POINT_KEYS, Metric, accuracy, as_trials, numbered
from campaign.analysis.sequential import Precision
from campaign.analysis.statistics import LEVEL, IntervalName, mean_interval
from campaign.published import Claim, Publication
from campaign.text import t_text

Origins = Mapping[str, Mapping[str, object]]
"""Name of a model in rows -> the model of the spec, such as ``{"torchvision/resnet18": {...}}``."""
VERDICTS = ("agree", "differ", "not comparable")
_TOP1: Metric = "top1"
USUAL_FAULT, USUAL_TARGETS = "bit_flip", "weights"
"""What a number is judged by whose publication says nothing of them."""
_LEFT_OPEN = ("t", "nonfinite", "fault", "targets", "maps")


class Measured(NamedTuple):
    """A measured quantity of one cell, in percent of images or points of percent."""

    mean: float
    low: float
    high: float
    sd: float
    """Over fault maps; NaN for one, or where maps were judged on samples."""
    clean: float


def claims(
    rows: object,
    published: Sequence[Publication],
    *,
    origins: Origins | None = None,
    interval: IntervalName = "bounded",
    precision: Precision | None = None,
) -> pd.DataFrame:
    """Every published number with every measured cell that may stand beside it.

    A cell matches a claim by the names of its row: model and dataset by the names that the claim
    lists, dtype, method, BER, and what else the claim states. It is *comparable* where it is also
    the published checkpoint (its origin loads that), judged on as many images of the same test set,
    with the same fault-free accuracy, and nothing is known to depart; a publication that says
    nothing of them is taken to mean independent flips in weights. A test set is known by its name
    and its number of images alone. Comparable cells agree where our 95 % interval overlaps the
    published value, give or take its reading error and, where the number of fault maps is
    published, 95 % of the spread that the mean of so many maps has by our standard deviation.

    Args:
        rows: A pandas frame or pyarrow Table with the columns of `campaign.records`.
        published: What `campaign.published.load_published` gives.
        origins: Where the models of the rows come from; a model that is not in it is of unknown
            origin, and so not comparable.
        interval: How the 95 % interval of the mean is made; see `statistics.mean_interval`.
        precision: As for `curves.curves`.

    Returns:
        One row for each claim and cell, in the order of the claims; none where nothing matches:
        ``claim, source, about, quantity, unit, published`` (text), ``value`` (NaN for words),
        ``value_error`` (half-width), ``tag, where``; the columns of `POINT_KEYS`; ``n_trials``,
        ``n_images`` (that the mean stands for); ``measured, low, high`` (in the unit); ``verdict``
        (one of `VERDICTS`), ``reasons`` (why not comparable) and ``open`` (what the publication
        does not say, with our choice).

    Raises:
        CampaignError: If the rows cannot be analysed; see `rows.as_trials`.
    """
    return claims_among(
        as_trials(rows), published, origins=origins, interval=interval, precision=precision
    )


def claims_among(
    trials: pd.DataFrame,
    published: Sequence[Publication],
    *,
    origins: Origins | None,
    interval: IntervalName,
    precision: Precision | None,
) -> pd.DataFrame:
    """The same of what `rows.as_trials` gave."""
    trials = trials[asked_for(trials, published)].reset_index(drop=True)
    if trials.empty:
        return pd.DataFrame(columns=COLUMNS)
    trials = trials.assign(accuracy=accuracy(trials, _TOP1))
    points = _with_images(curves_of(trials, interval, precision))
    cells = points[~_told_before(points)].to_dict("records")
    found = [
        _row(publication, claim, cell, measured, (origins or {}).get(str(cell["model"])))
        for publication in published
        for claim in publication.claims
        if claim.measurable
        for cell in cells
        if matches(claim, cell)
        if (measured := _measured(claim, cell, points, trials, interval)) is not None
    ]
    return pd.DataFrame(found, columns=COLUMNS)


COLUMNS = [
    *("claim", "source", "about", "quantity", "unit", "published", "value", "value_error"),
    *("tag", "where", *POINT_KEYS, "n_trials", "n_images", "measured", "low", "high"),
    *("verdict", "reasons", "open"),
]


def _with_images(points: pd.DataFrame) -> pd.DataFrame:
    """The points with the number of images that their means stand for.

    A cell of fault maps that were judged on samples of the images stands for all of them, as many
    as the trial without faults had.
    """
    images = points["n_samples"]
    if "estimated" in points:
        free = points["n_samples"].where(points["ber"] == 0)
        whole = free.groupby(numbered(points, CURVE_KEYS)).transform("max")
        images = images.where(~points["estimated"].astype(bool), whole)
    return points.assign(n_images=images)


def _told_before(points: pd.DataFrame) -> pd.Series[bool]:
    """Which points without faults are those of others, but for the faults there are none of."""
    same = [key for key in POINT_KEYS if key not in ("fault", "targets")]
    return (points["ber"] == 0) & points.duplicated([*same, "top1_mean"])


def _measured(
    claim: Claim,
    cell: Mapping[Any, Any],
    points: pd.DataFrame,
    trials: pd.DataFrame,
    interval: IntervalName,
) -> Measured | None:
    """The quantity of a claim in a cell; None where no trial, or no baseline, gave a result."""
    if not cell["n_trials"]:
        return None
    own = _accuracy(cell)
    if claim.quantity == "top1":
        return own
    if claim.quantity == "top1_error":
        return Measured(100 - own.mean, 100 - own.high, 100 - own.low, own.sd, 100 - own.clean)
    return _gain(claim.baseline, cell, points, trials, interval)


def _gain(
    baseline: str,
    cell: Mapping[Any, Any],
    points: pd.DataFrame,
    trials: pd.DataFrame,
    interval: IntervalName,
) -> Measured | None:
    """Accuracy of a cell less that of the baseline, on the same fault maps."""
    same = [key for key in POINT_KEYS if key not in ("method", "t")]
    base = points[_equal(points, cell, same) & (points["method"] == baseline)]
    if len(base) != 1 or not base["n_trials"].iloc[0]:
        return None
    own, other = _accuracy(cell), _accuracy(base.to_dict("records")[0])
    if cell.get("estimated"):  # on images of their own: no pairs to take
        low, high = own.low - other.high, own.high - other.low
        return Measured(own.mean - other.mean, low, high, math.nan, own.clean - other.clean)
    here = trials[_equal(trials, cell, POINT_KEYS)]
    there = trials[_equal(trials, cell, same) & (trials["method"] == baseline)]
    pairs = here.merge(there, on="seed", suffixes=("", "_base"))
    gains = 100 * (pairs["accuracy"] - pairs["accuracy_base"]).dropna().to_numpy(float)
    if not gains.size:
        return None
    bounds = mean_interval(gains[None], interval=interval, limits=(-100.0, 100.0))
    sd = float(gains.std(ddof=1)) if gains.size > 1 else math.nan
    return Measured(
        float(gains.mean()),
        float(bounds.low[0]),
        float(bounds.high[0]),
        sd,
        own.clean - other.clean,
    )


def _accuracy(cell: Mapping[Any, Any]) -> Measured:
    """Top-1 of a cell; without faults there is nothing to be uncertain of."""
    mean, sd, clean = (100 * float(cell[f"top1_{name}"]) for name in ("mean", "sd", "clean"))
    if cell["ber"] == 0:
        return Measured(mean, mean, mean, 0.0, mean)
    return Measured(mean, 100 * cell["top1_low"], 100 * cell["top1_high"], sd, clean)


def _equal(frame: pd.DataFrame, cell: Mapping[Any, Any], keys: Sequence[str]) -> pd.Series[bool]:
    """Which rows have the same values as `cell`; null equals null."""
    same = pd.Series(True, index=frame.index)
    for key in keys:
        same &= frame[key].isna() if pd.isna(cell[key]) else frame[key] == cell[key]
    return same


def _row(
    publication: Publication,
    claim: Claim,
    cell: Mapping[Any, Any],
    measured: Measured,
    origin: Mapping[str, object] | None,
) -> dict[str, object]:
    value = math.nan if claim.value is None else float(claim.value)
    error = _published_error(claim, measured)
    reasons = _reasons(claim, cell, measured, origin)
    apart = measured.low > value + error or measured.high < value - error
    return {
        "claim": claim.id,
        "source": publication.source,
        "about": claim.about,
        "quantity": claim.quantity,
        "unit": claim.unit or "",
        "published": claim.text,
        "value": value,
        "value_error": error,
        "tag": claim.tag,
        "where": claim.where,
        **{key: cell[key] for key in POINT_KEYS},
        "n_trials": cell["n_trials"],
        "n_images": cell["n_images"],
        **{"measured": measured.mean, "low": measured.low, "high": measured.high},
        "verdict": VERDICTS[2] if reasons else VERDICTS[1] if apart else VERDICTS[0],
        "reasons": "; ".join(reasons),
        "open": "; ".join(_open(claim, cell)),
    }


def _published_error(claim: Claim, measured: Measured) -> float:
    """Half-width of the published value: its reading, and the chance of its few fault maps."""
    if claim.maps is None or math.isnan(measured.sd):
        return claim.error
    return claim.error + float(ndtri((1 + LEVEL) / 2)) * measured.sd / math.sqrt(claim.maps)


def _reasons(
    claim: Claim,
    cell: Mapping[Any, Any],
    measured: Measured,
    origin: Mapping[str, object] | None,
) -> list[str]:
    """Why a cell cannot confirm or contradict a claim; empty where it can."""
    assert claim.model is not None
    assert claim.dataset is not None
    clean = math.nan if claim.clean is None else float(claim.clean)
    off = abs(measured.clean - clean) > claim.error + 1e-9
    candidates = (
        (claim.value is None, "published in words, not as a number"),
        (claim.model.source is None, "the published checkpoint cannot be loaded"),
        (
            claim.model.source is not None and not claim.model.is_loaded_by(origin),
            "not loaded as the published checkpoint" if origin else "checkpoint of unknown origin",
        ),
        (
            cell["n_images"] != claim.dataset.images,
            f"{cell['n_images']:,.0f} images, published on {claim.dataset.images:,}",
        ),
        *_other_faults(claim, cell),
        (off, f"{measured.clean:.2f} without faults, published {claim.clean}"),
        (math.isnan(measured.low), "one fault map, so no interval"),
    )
    return [reason for holds, reason in candidates if holds] + list(claim.departs)


def _other_faults(claim: Claim, cell: Mapping[Any, Any]) -> list[tuple[bool, str]]:
    """Whether a cell has a study's faults or targets, of which the publication says nothing."""
    fault, targets = str(cell["fault"]), str(cell["targets"])
    return [
        (claim.ber != 0 and claim.fault is None and fault != USUAL_FAULT, f"faults: {fault}"),
        (claim.targets is None and targets != USUAL_TARGETS, f"targets: {targets}"),
    ]


def _open(claim: Claim, cell: Mapping[Any, Any]) -> list[str]:
    """What the publication leaves open, with what was chosen here, and what is assumed."""
    relevant = [key for key in _LEFT_OPEN if claim.ber != 0 and getattr(claim, key) is None]
    return [*(_choice(key, cell) for key in relevant if key != "t" or _has_t(cell)), *claim.assumed]


def _has_t(cell: Mapping[Any, Any]) -> bool:
    return not pd.isna(cell["t"])


def _choice(key: str, cell: Mapping[Any, Any]) -> str:
    if key == "maps":
        return f"number of fault maps (here {cell['n_trials']})"
    return f"{key} (here {t_text(cell['t']) if key == 't' else cell[key]})"

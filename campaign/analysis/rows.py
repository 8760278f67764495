"""Rows of trials as the analysis wants them: one pandas frame, checked once."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from campaign.analysis.labels import curve_key
from campaign.errors import CampaignError
from campaign.records import COLUMNS, column_types

CURVE_KEYS = [
    "model",
    "dataset",
    "dtype",
    "method",
    "t",
    "train_seed",
    "nonfinite",
    "fault",
    "targets",
]
"""What trials of one curve share: all but BER and seed."""
POINT_KEYS = [*CURVE_KEYS, "ber"]
"""What trials of one point of a curve share: all but the seed."""
VARIANT_KEYS = ["dataset", "nonfinite", "fault", "targets"]
"""What curves of one figure share."""
METRICS = {"top1": "n_correct", "top5": "n_correct_top5"}
Metric = Literal["top1", "top5"]
METRIC_NAMES: dict[Metric, str] = {"top1": "top-1 accuracy", "top5": "top-5 accuracy"}


def as_trials(rows: object) -> pd.DataFrame:
    """Rows as a frame with the columns of `campaign.records`, numbers as floats.

    Args:
        rows: A pandas frame, or anything with ``to_pandas()`` such as a pyarrow Table. It is not
            changed.

    Raises:
        CampaignError: If there are no rows, a column is missing, a trial stands there twice (its
            seed would count twice), or one curve has trials of several setups.
    """
    convert = getattr(rows, "to_pandas", None)
    frame = rows if convert is None else convert()
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"got rows of {type(rows).__name__}; allowed: DataFrame, pyarrow.Table")
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise CampaignError(f"rows lack the columns {', '.join(missing)}; read them from a store")
    _refuse_none(frame)
    same = list(frame.columns) == list(COLUMNS)  # a million rows are not copied without need
    chosen = (frame if same else frame.loc[:, list(COLUMNS)]).reset_index(drop=True)
    numeric = {
        column: chosen[column].to_numpy(float, na_value=np.nan)
        for column in _numeric_columns()
        if chosen[column].dtype != np.float64
    }
    trials = chosen.assign(**numeric)
    _refuse_repeats(trials)
    return checked(trials)


def checked(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials that are there once each, their numbers floats, their names text or categories.

    Raises:
        CampaignError: If there are no rows, or one curve has trials of several setups.
    """
    _refuse_none(trials)
    keys = [*CURVE_KEYS, "setup_id"]
    setups = heads(trials, numbered(trials, keys), keys)
    mixed = setups.duplicated(CURVE_KEYS)
    if mixed.any():
        raise CampaignError(
            f"several setups are called {_first_key(setups[mixed])!r}; "
            "they differ in something that has no column: analyse each campaign on its own"
        )
    return trials


def accuracy(trials: pd.DataFrame, metric: Metric) -> npt.NDArray[np.float64]:
    """Share of images that each trial got right; NaN for a failed trial."""
    share: npt.NDArray[np.float64] = (trials[METRICS[metric]] / trials["n_samples"]).to_numpy(float)
    return np.where(trials["status"] == "ok", share, np.nan)


def numbered(frame: pd.DataFrame, keys: list[str]) -> npt.NDArray[np.intp]:
    """The group of each row, 0, 1, ..., in order of first appearance; null equals null."""
    coded = {key: frame[key].cat.codes for key in keys if _is_coded(frame[key])}
    by = [coded.get(key, frame[key]) for key in keys]
    codes = frame.groupby(by, dropna=False, sort=False).ngroup()
    return codes.to_numpy().astype(np.intp)


def heads(frame: pd.DataFrame, number: npt.NDArray[np.intp], columns: list[str]) -> pd.DataFrame:
    """The first row of each group of `numbered`, in some columns; names as plain text."""
    table = frame[columns].iloc[np.unique(number, return_index=True)[1]].reset_index(drop=True)
    coded = [column for column in columns if _is_coded(table[column])]
    return table.assign(**{c: table[c].astype(table[c].cat.categories.dtype) for c in coded})


def _is_coded(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype)


def _numeric_columns() -> list[str]:
    return [c for c, kind in column_types().items() if kind in ("float", "int") and c != "seed"]


def _refuse_none(trials: pd.DataFrame) -> None:
    if trials.empty:
        raise CampaignError("there are no rows to analyse; run the campaign first")


def _refuse_repeats(trials: pd.DataFrame) -> None:
    repeated = trials["trial_id"].duplicated()
    if repeated.any():
        first = trials["trial_id"][repeated].iloc[0]
        raise CampaignError(
            f"{int(repeated.sum())} trials stand in the rows more than once, such as {first}; "
            "keep one row for each trial_id"
        )


def _first_key(frame: pd.DataFrame) -> str:
    return curve_key({key: frame[key].iloc[0] for key in CURVE_KEYS})

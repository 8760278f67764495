"""What is accepted as rows, and what is refused and how."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from campaign.analysis.rows import accuracy, as_trials, numbered
from campaign.errors import CampaignError

Make = Callable[..., Any]


def test_a_table_and_a_frame_give_the_same_trials(make_rows: Make) -> None:
    rows = make_rows(protections=[("none", None), ("weight_scaling", 2.0)])
    table = pa.Table.from_pandas(rows, preserve_index=False)
    ours, theirs = as_trials(rows), as_trials(table)
    assert list(ours) == list(theirs)
    for column in ours:
        np.testing.assert_array_equal(ours[column].isna(), theirs[column].isna())
        pd.testing.assert_series_equal(
            ours[column].dropna(), theirs[column].dropna(), check_dtype=False
        )


def test_the_given_rows_are_left_as_they_are(make_rows: Make) -> None:
    rows = make_rows()
    before = rows.copy(deep=True)
    as_trials(rows)
    pd.testing.assert_frame_equal(rows, before)


def test_no_rows_are_refused_with_what_to_do(make_rows: Make) -> None:
    with pytest.raises(CampaignError, match="no rows to analyse; run the campaign first"):
        as_trials(make_rows().iloc[:0])


def test_missing_columns_are_named(make_rows: Make) -> None:
    with pytest.raises(CampaignError, match="lack the columns ber, n_correct"):
        as_trials(make_rows().drop(columns=["ber", "n_correct"]))


def test_a_trial_that_stands_there_twice_is_refused(make_rows: Make) -> None:
    rows = make_rows()
    with pytest.raises(CampaignError, match=r"1 trials .* such as resnet20.*-0\.0-0; keep one"):
        as_trials(pd.concat([rows, rows.iloc[:1]]))


def test_two_setups_under_one_name_are_refused(make_record: Make, to_frame: Make) -> None:
    rows = [make_record(ber=1e-6), make_record(ber=1e-6, setup_id="other", trial_id="other")]
    with pytest.raises(CampaignError, match="several setups are called 'resnet20 · fp32 · none'"):
        as_trials(to_frame(rows))


def test_other_things_than_rows_are_refused() -> None:
    with pytest.raises(TypeError, match=r"got rows of list; allowed: DataFrame, pyarrow\.Table"):
        as_trials([])


def test_accuracy_is_a_share_of_images_and_nothing_for_a_failed_trial(
    make_record: Make, to_frame: Make
) -> None:
    good = make_record(n_samples=8, n_correct=2, n_correct_top5=6)
    bad = make_record(seed=1, status="error", n_samples=None, n_correct=None)
    trials = as_trials(to_frame([good, bad]))
    np.testing.assert_array_equal(accuracy(trials, "top1"), [0.25, np.nan])
    np.testing.assert_array_equal(accuracy(trials, "top5"), [0.75, np.nan])


def test_groups_are_numbered_as_they_appear_and_null_is_a_value() -> None:
    frame = pd.DataFrame({"a": ["y", "x", "y", "x"], "t": [np.nan, 1.0, np.nan, np.nan]})
    assert numbered(frame, ["a", "t"]).tolist() == [0, 1, 0, 2]

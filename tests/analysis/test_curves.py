"""Curves against a plain loop over the rows."""

import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from campaign.analysis.curves import curves
from campaign.analysis.rows import POINT_KEYS
from campaign.analysis.statistics import mean_interval

Make = Callable[..., Any]
PROTECTIONS = [("none", None), ("weight_scaling", 2.0), ("weight_scaling", 2.0**120)]


def test_every_point_is_what_a_loop_over_its_rows_finds(make_rows: Make) -> None:
    rows = make_rows(dtypes=["fp32", "fp16"], protections=PROTECTIONS, seeds=6)
    found = curves(rows.sample(frac=1, random_state=1))
    assert len(found) == 2 * 3 * 5
    for _, point in found.iterrows():
        same = rows["t"].isna() if math.isnan(point["t"]) else rows["t"] == point["t"]
        for key in ("dtype", "method", "ber"):
            same &= rows[key] == point[key]
        shares = [r.n_correct / r.n_samples for r in rows[same].itertuples()]
        assert point["n_trials"] == len(shares) == (6 if point["ber"] else 1)
        assert point["top1_mean"] == pytest.approx(statistics.fmean(shares))
        assert point["top1_median"] == pytest.approx(statistics.median(shares))
        assert point["drop_mean"] == pytest.approx(0.92 - statistics.fmean(shares))
        assert point["top1_clean"] == 0.92
        if len(shares) > 1:
            bounds = mean_interval(np.array([shares]))
            assert point["top1_sd"] == pytest.approx(statistics.stdev(shares))
            assert point["top1_low"] == pytest.approx(bounds.low[0])
            assert point["top1_high"] == pytest.approx(bounds.high[0])
        else:
            assert math.isnan(point["top1_low"])


def test_points_are_sorted_with_the_unscaled_first_and_the_order_of_rows_does_not_matter(
    make_rows: Make,
) -> None:
    rows = make_rows(models=["b", "a"], protections=[*PROTECTIONS, ("weight_scaling", None)])
    found = curves(rows)
    again = found.sort_values(POINT_KEYS, na_position="first", ignore_index=True)
    pd.testing.assert_frame_equal(found, again)
    shuffled = curves(rows.sample(frac=1, random_state=3))
    pd.testing.assert_frame_equal(found, shuffled, check_exact=False, rtol=1e-12)
    scaled = found[found["method"] == "weight_scaling"]
    assert math.isnan(scaled["t"].iloc[0])


def test_counts_become_rates_and_means(make_record: Make, to_frame: Make) -> None:
    given = {
        "ber": 1e-3,
        "n_correct": 50,
        "n_correct_top5": 50,
        "stored_bits": 3200,
        "check_bits": 700,
        "exposed_bits": 3000,
    }
    rows = [
        make_record(seed=0, n_samples=100, n_sdc=10, n_nonfinite=5, n_masked=1, **given)
        | {"flipped_bits": 2, "corrected": 4, "detected": 0, "seconds": 1.0},
        make_record(seed=1, n_samples=300, n_sdc=30, n_nonfinite=0, n_masked=3, **given)
        | {"flipped_bits": 5, "corrected": 1, "detected": 3, "seconds": 2.0},
    ]
    point = curves(to_frame(rows)).iloc[0]
    expected = {
        "sdc_rate": 0.1,
        "nonfinite_rate": 5 / 400,
        "masked_rate": 0.01,
        "flipped_bits_mean": 3.5,
        "expected_flips": 3.0,
        "stored_bits": 3200,
        "check_bits": 700,
        "overhead": 700 / 3200,
        "corrected_mean": 2.5,
        "detected_mean": 1.5,
        "seconds_mean": 1.5,
    }
    assert {key: point[key] for key in expected} == pytest.approx(expected)


def test_failed_trials_are_counted_and_have_no_other_say(make_points: Make, to_frame: Make) -> None:
    rows = make_points([0.5, 0.7], 1e-6) + make_points([0.1], 1e-5)
    lost = {"status": "crashed", "n_samples": None, "n_correct": None, "seconds": 99.0}
    rows[1] |= lost
    rows[2] |= lost | {"n_correct": 5}
    half, none = curves(to_frame(rows)).to_dict("records")
    assert (half["n_trials"], half["n_failed"], half["top1_mean"]) == (1, 1, 0.5)
    assert half["seconds_mean"] == 0.5
    assert (none["n_trials"], none["n_failed"]) == (0, 1)
    assert math.isnan(none["top1_mean"])
    assert math.isnan(none["sdc_rate"])


def test_a_curve_without_the_fault_free_trial_has_no_clean_accuracy(
    make_points: Make, to_frame: Make
) -> None:
    found = curves(to_frame(make_points([0.5, 0.7], 1e-6)))
    assert found[["top1_clean", "top5_clean", "drop_mean"]].isna().all(axis=None)


def test_clean_accuracies_of_other_curves_are_not_borrowed(
    make_points: Make, to_frame: Make
) -> None:
    rows = make_points([0.9], 0.0) + make_points([0.8], 0.0, dtype="fp16")
    rows += make_points([0.5], 1e-6) + make_points([0.5], 1e-6, dtype="fp16")
    found = curves(to_frame(rows)).set_index("dtype")["top1_clean"]
    assert found.loc["fp32"].tolist() == [0.9, 0.9]
    assert found.loc["fp16"].tolist() == [0.8, 0.8]


def test_the_bootstrap_is_narrower_where_maps_agree(make_points: Make, to_frame: Make) -> None:
    rows = to_frame(make_points([0.9, 0.91, 0.9, 0.92, 0.9], 1e-6))
    bounded, bootstrap = (curves(rows, interval=kind).iloc[0] for kind in ("bounded", "bootstrap"))
    assert bounded["top1_low"] < 0.5
    assert 0.9 <= bootstrap["top1_low"] < bootstrap["top1_mean"] < bootstrap["top1_high"] < 0.92

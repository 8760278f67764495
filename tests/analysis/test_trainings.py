"""Spread between trainings and between fault maps, against draws whose spreads are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from campaign.analysis.curves import curves
from campaign.analysis.report import write_report
from campaign.analysis.rows import as_trials
from campaign.analysis.trainings import trainings
from tests.analysis.conftest import accuracies, record


def rows_of(shares_by_training: list[list[float]], ber: float = 1e-3) -> pd.DataFrame:
    rows = []
    for train_seed, shares in enumerate(shares_by_training):
        given = {"method": "trained_saf", "train_seed": train_seed, "setup_id": f"s{train_seed}"}
        found = accuracies(shares, ber, **given)
        rows += [{**row, "trial_id": f"s{train_seed}-{row['seed']}-{ber}"} for row in found]
    return pd.DataFrame(rows)


def test_both_spreads_come_out_as_drawn() -> None:
    draw, between, within = np.random.default_rng(0), 0.03, 0.06
    means = 0.7 + between * draw.standard_normal(400)
    shares = [list(np.clip(m + within * draw.standard_normal(8), 0, 1)) for m in means]
    (row,) = trainings(curves(rows_of(shares))).to_dict("records")
    # 400 trainings of 8 maps: relative errors of the two variances are some 9 % and 3 %
    assert row["sd_trainings"] == pytest.approx(between, rel=0.2)
    assert row["sd_maps"] == pytest.approx(within, rel=0.06)
    assert (row["n_trainings"], row["n_trials"]) == (400, 3200)
    assert row["low"] < 0.7 < row["high"]


def test_by_hand_on_two_trainings_and_nothing_is_said_of_one(tmp_path) -> None:
    frame = pd.concat([rows_of([[0.8, 0.9], [0.5, 0.7]]), rows_of([[0.9], [0.8]], 0.0)])
    zero, row = trainings(curves(frame)).to_dict("records")
    assert row["mean"] == pytest.approx(0.725)
    # variance of (0.85, 0.6) is 0.03125; maps have variances 0.005 and 0.02, two maps each
    assert row["sd_trainings"] == pytest.approx((0.03125 - 0.0125 / 2) ** 0.5)
    assert row["sd_maps"] == pytest.approx(0.0125**0.5)
    assert (row["low"], row["high"]) == (0.0, 1.0)
    assert (zero["sd_maps"], zero["sd_trainings"]) == (0.0, pytest.approx(0.005**0.5))
    assert trainings(curves(rows_of([[0.8, 0.9]]))).empty
    assert trainings(curves(pd.DataFrame([record(), record(ber=1e-3)]))).empty
    written = write_report(frame, tmp_path).tables
    (text,) = [path.read_text() for path in written if path.name == "trainings_top1.md"]
    assert "| trained_saf | 1e-3 |         2 |      4 | 72.50 |" in text


@pytest.mark.slow
def test_maps_that_all_trainings_saw_widen_the_interval_and_hide_no_spread() -> None:
    """Effects of maps are common to trainings: they are in the mean, not between trainings."""
    draw, between, common = np.random.default_rng(1), 0.03, 0.1
    found, inside = [], 0
    for _ in range(100):
        maps = common * draw.standard_normal(10)
        shares = 0.6 + between * draw.standard_normal((5, 1)) + maps
        shares = shares + 0.01 * draw.standard_normal((5, 10))
        frame = rows_of([list(row) for row in np.clip(shares, 0, 1)])
        (row,) = trainings(curves(frame), trials=as_trials(frame)).to_dict("records")
        found.append(row["sd_trainings"] ** 2)
        inside += row["low"] < 0.6 < row["high"]
    # a variance on 4 degrees of freedom, 100 times: 7 %; 95 of 100 at 6 sigma are 82 or more
    assert np.mean(found) ** 0.5 == pytest.approx(between, rel=0.25)
    assert inside >= 82
    apart = trainings(curves(frame)).to_dict("records")[0]
    assert apart["high"] - apart["low"] < row["high"] - row["low"]


def test_maps_that_not_all_trainings_saw_are_not_taken_for_the_same() -> None:
    frame = rows_of([[0.8, 0.9], [0.5, 0.7, 0.6]])
    pd.testing.assert_frame_equal(
        trainings(curves(frame)), trainings(curves(frame), trials=as_trials(frame))
    )

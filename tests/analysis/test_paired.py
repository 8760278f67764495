"""Paired differences against numpy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from campaign.analysis.paired import paired
from campaign.errors import CampaignError

Make = Callable[..., Any]


def test_differences_are_taken_seed_by_seed(make_points: Make, to_frame: Make) -> None:
    ours, theirs = np.array([0.9, 0.8, 0.4, 0.9]), np.array([0.9, 0.5, 0.3, 0.95])
    rows = make_points(ours, 1e-6, method="saf") + make_points(theirs, 1e-6)[::-1]
    found = paired(to_frame(rows), "saf", "none").iloc[0]
    gap = ours - theirs
    assert found["difference"] == pytest.approx(gap.mean())
    assert found["difference_sd"] == pytest.approx(gap.std(ddof=1))
    assert found["difference_low"] < gap.mean() < found["difference_high"]
    assert (found["a_mean"], found["b_mean"]) == pytest.approx((ours.mean(), theirs.mean()))
    assert (found["a"], found["b"], found["n_pairs"], found["n_unpaired"]) == ("saf", "none", 4, 0)
    share = stats.binomtest(2, 4).proportion_ci(method="wilson")
    assert found["a_better"] == 0.5
    assert (found["a_better_low"], found["a_better_high"]) == pytest.approx((share.low, share.high))


def test_shared_faults_make_the_difference_known_better_than_the_means(
    make_points: Make, to_frame: Make
) -> None:
    base = np.random.default_rng(1).uniform(0.2, 0.9, 50)
    rows = make_points(base, 1e-6) + make_points(base + 0.05, 1e-6, method="saf")
    found = paired(to_frame(rows), "saf", "none", interval="bootstrap").iloc[0]
    alone = base.std(ddof=1) * math.sqrt(2 / 50)
    assert found["difference_sd"] < 1e-3 < alone
    assert found["difference_low"] > 0


def test_swapping_the_methods_mirrors_the_answer(make_rows: Make) -> None:
    rows = make_rows(models=["a", "b"], seeds=8)
    there, back = paired(rows, "saf", "none"), paired(rows, "none", "saf")
    np.testing.assert_allclose(there["difference"], -back["difference"])
    np.testing.assert_allclose(there["difference_low"], -back["difference_high"], atol=1e-9)
    assert len(there) == 2 * 5


def test_trials_without_a_partner_are_counted_and_left_out(
    make_points: Make, to_frame: Make
) -> None:
    rows = make_points([0.9, 0.8, 0.7], 1e-6) + make_points([0.5, 0.5], 1e-6, method="saf")
    rows[1] |= {"status": "error", "n_correct": None}
    found = paired(to_frame(rows), "none", "saf").iloc[0]
    assert (found["n_pairs"], found["n_unpaired"]) == (1, 2)
    assert found["difference"] == pytest.approx(0.4)
    assert math.isnan(found["difference_low"])


def test_the_share_of_equal_faults_is_told(make_points: Make, to_frame: Make) -> None:
    rows = make_points([0.9, 0.8], 1e-6) + make_points([0.5, 0.5], 1e-6, method="saf")
    rows[0]["flips_digest"] = "other"
    assert paired(to_frame(rows), "none", "saf").loc[0, "same_flips"] == 0.5


def test_a_method_with_several_t_must_be_told_apart(make_rows: Make) -> None:
    rows = make_rows(
        protections=[("none", None), ("weight_scaling", 2.0), ("weight_scaling", 2.0**120)]
    )
    assert len(paired(rows, "weight_scaling · t=2^120", "none")) == 5
    with pytest.raises(CampaignError, match=r"stands for 2 values of t; allowed: none, weight_sc"):
        paired(rows, "weight_scaling", "none")
    with pytest.raises(CampaignError, match="'tmr' is not in the rows; allowed: none"):
        paired(rows, "none", "tmr")


def test_one_t_need_not_be_named(make_rows: Make) -> None:
    rows = make_rows(protections=[("none", None), ("weight_scaling", 2.0)])
    assert set(paired(rows, "weight_scaling", "none")["a"]) == {"weight_scaling · t=2"}

"""Comparisons of two protections, and of two campaigns, against numpy and scipy."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from campaign.analysis.comparison import Lone, Side, compare, together
from campaign.analysis.curves import curves
from campaign.analysis.paired import against, paired
from campaign.analysis.significance import holm, permutation, sign_flip
from campaign.analysis.statistics import mean_interval
from campaign.engines.stores.reader import read_results
from campaign.errors import SpecError

Make = Callable[..., Any]
ADAPTIVE = Path(__file__).parents[2] / "results" / "reference" / "cifar10_precision"


def test_differences_are_taken_seed_by_seed(make_points: Make, to_frame: Make) -> None:
    ours, theirs = np.array([0.9, 0.8, 0.4, 0.9]), np.array([0.9, 0.5, 0.3, 0.95])
    rows = make_points(ours, 1e-6, method="saf") + make_points(theirs, 1e-6)[::-1]
    made = paired(to_frame(rows), "saf", "none")
    found, gap = made.cells.iloc[0], ours - theirs
    assert (made.a, made.b, found["how"], found["n_pairs"]) == ("none", "saf", "paired", 4)
    assert found["difference"] == pytest.approx(gap.mean())
    assert found["difference_sd"] == pytest.approx(gap.std(ddof=1))
    known = mean_interval(gap[None], interval="bootstrap", limits=(-1.0, 1.0))
    assert (found["low"], found["high"]) == pytest.approx((known.low[0], known.high[0]), abs=1e-9)
    assert (found["mean_a"], found["mean_b"]) == pytest.approx((theirs.mean(), ours.mean()))
    share = stats.binomtest(2, 4).proportion_ci(method="wilson")
    assert (found["n_better"], found["n_equal"]) == (2, 1)
    assert (found["better_low"], found["better_high"]) == pytest.approx((share.low, share.high))
    assert found["p"] == sign_flip(np.array([0, 3000, 1000, -500]))


def test_shared_faults_make_the_difference_known_better_than_the_means(
    make_points: Make, to_frame: Make
) -> None:
    random = np.random.default_rng(1)
    base = np.round(random.uniform(0.2, 0.9, 50), 4)
    rows = make_points(base, 1e-6) + make_points(
        np.round(base + random.normal(0.02, 0.03, 50), 4), 1e-6, method="saf"
    )
    frame = to_frame(rows)
    kept = paired(frame, "saf", "none").cells.iloc[0]
    sides = [Side(m, frame[frame["method"] == m]) for m in ("none", "saf")]
    apart = compare(*sides, across=["method"], paired=False).cells.iloc[0]
    values = [side.rows["n_correct"].to_numpy(float) / 1e4 for side in sides]  # type: ignore[index]
    test = stats.ttest_rel(values[1], values[0])
    assert abs(math.log(kept["p"] / test.pvalue)) < math.log(2)
    assert tuple(test.confidence_interval()) == pytest.approx((kept["low"], kept["high"]), abs=2e-3)
    welch = stats.ttest_ind(values[1], values[0], equal_var=False)
    assert apart["p"] == pytest.approx(welch.pvalue, rel=0.1) == permutation(*values)
    assert tuple(welch.confidence_interval()) == pytest.approx(
        (apart["low"], apart["high"]), abs=5e-3
    )
    assert kept["difference"] == pytest.approx(apart["difference"])
    assert apart["why"] == "asked for"
    other = compare(*sides, across=["method"], same_images=False)
    assert (other.tested, other.cells.loc[0, "why"]) == (0, "other test images")
    assert apart["high"] - apart["low"] > 5 * (kept["high"] - kept["low"])
    assert kept["p"] < 0.01 < 0.3 < apart["p"]


def test_swapping_the_sides_mirrors_the_answer(make_rows: Make) -> None:
    rows = make_rows(models=["a", "b"], seeds=8)
    there, back = paired(rows, "saf", "none").cells, paired(rows, "none", "saf").cells
    np.testing.assert_allclose(there["difference"], -back["difference"], atol=1e-12)
    np.testing.assert_allclose(there["low"], -back["high"], atol=1e-9)
    np.testing.assert_allclose(there["p"], back["p"])
    assert len(there) == 2 * 5


def test_trials_without_a_partner_are_counted_and_left_out(
    make_points: Make, to_frame: Make
) -> None:
    rows = make_points([0.9, 0.8, 0.7], 1e-6) + make_points([0.5, 0.5], 1e-6, method="saf")
    rows[1] |= {"status": "error", "n_correct": None}
    found = paired(to_frame(rows), "none", "saf").cells.iloc[0]
    assert (found["n_a"], found["n_b"], found["n_pairs"]) == (2, 2, 1)
    assert found["difference"] == pytest.approx(0.4)
    assert math.isnan(found["low"])
    assert math.isnan(found["p"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"flips_digest": "other"}, "other flips for the same seeds"),
        ({"stored_bits": 500}, "words of another size"),
        ({"n_samples": 20_000}, "another number of images"),
        ({"seed": 7}, "no seeds in common"),
    ],
)
def test_trials_are_pairs_only_where_faults_and_images_are_the_same(
    change: dict[str, Any], why: str, make_points: Make, to_frame: Make
) -> None:
    rows = make_points([0.9], 1e-6) + make_points([0.5], 1e-6, method="saf")
    rows[0] |= change
    found = paired(to_frame(rows), "saf", "none").cells.iloc[0]
    assert (found["how"], found["why"]) == ("unpaired", why)
    share = found["mean_b"] - found["mean_a"]
    assert found["difference"] == pytest.approx(share)


def test_check_words_may_have_flips_of_their_own(make_points: Make, to_frame: Make) -> None:
    """Payload faults are equal by construction; fingerprints also know the check words."""
    rows = make_points([0.9, 0.8], 1e-6) + make_points(
        [0.5, 0.4], 1e-6, method="parity", check_bits=50, flips_digest="more"
    )
    found = paired(to_frame(rows), "parity", "none").cells.iloc[0]
    assert (found["how"], found["same_flips"]) == ("paired", 0)
    again = [row | {"flips_digest": "others"} for row in rows]
    both = compare(Side("a", to_frame(rows)), Side("b", to_frame(again))).cells
    assert set(both["why"]) == {"other flips for the same seeds"}


def test_the_means_of_other_faults_are_combined_after_zou_and_donner(
    make_points: Make, to_frame: Make
) -> None:
    a, b = np.array([0.9, 0.7, 0.2, 0.6, 0.5]), np.array([0.8, 0.9, 0.9, 0.7])
    sides = [
        Side("a", to_frame(make_points(a, 1e-6))),
        Side("b", to_frame(make_points(b, 1e-6, flips_digest="other"))),
    ]
    found = compare(*sides, interval="bounded").cells.iloc[0]
    (la, ua), (lb, ub) = (
        (float(bound.low[0]), float(bound.high[0]))
        for bound in (mean_interval(x[None]) for x in (a, b))
    )
    gap = b.mean() - a.mean()
    below, above = (
        math.hypot(b.mean() - lb, ua - a.mean()),
        math.hypot(ub - b.mean(), a.mean() - la),
    )
    assert (found["low"], found["high"]) == pytest.approx((gap - below, gap + above))
    assert found["p"] == pytest.approx(permutation(a, b))


def test_campaigns_are_compared_cell_by_cell(make_rows: Make) -> None:
    ours = make_rows(protections=[("none", None), ("saf", None)], seeds=9)
    theirs = make_rows(
        protections=[("none", None), ("clamp", None)], bers=(0.0, 1e-6, 1e-5, 1e-3), seeds=9, rng=5
    )
    theirs.loc[theirs["ber"] == 1e-6, "ber"] = float(np.nextafter(1e-6, 1))
    made = compare(Side("a", ours), Side("b", theirs))
    assert made.cells["ber"].tolist() == [0.0, 1e-6, 1e-5]
    free = made.cells.iloc[0]
    assert (free["how"], free["low"], free["high"]) == (
        "exact",
        free["difference"],
        free["difference"],
    )
    assert made.only_a[0] == Lone("resnet20 · fp32 · none", (1e-7, 1e-4))
    assert [lone.curve for lone in made.only_a[1:]] == ["resnet20 · fp32 · saf"]
    assert made.only_b[-1].curve == "resnet20 · fp32 · none"
    merged = ours[ours.method == "none"].merge(
        theirs.assign(ber=theirs["ber"].round(12)), on=["method", "ber", "seed"]
    )
    for cell in made.cells.iloc[1:].to_dict("records"):
        part = merged[np.isclose(merged["ber"], cell["ber"])]
        gap = part["n_correct_y"] / part["n_samples_y"] - part["n_correct_x"] / part["n_samples_x"]
        assert cell["difference"] == pytest.approx(gap.mean())
        assert cell["n_pairs"] == 9
    assert made.tested == 2


def test_estimates_are_compared_by_their_intervals() -> None:
    """An adaptive reference run with itself, 4 % of the right images of each map made wrong."""
    rows = read_results(ADAPTIVE).to_pandas()
    rows = rows[rows["ber"] <= 1e-7]
    worse = rows.assign(
        n_correct=rows["n_correct"].where(rows["ber"] == 0, rows["n_correct"] * 0.96 // 1)
    )
    cells = compare(Side("a", rows), Side("b", worse)).cells.set_index("ber")
    a, b = (curves(frame).set_index("ber").loc[1e-7] for frame in (rows, worse))
    found = cells.loc[1e-7]
    assert (found["how"], found["why"]) == ("unpaired", "maps were judged on samples of the images")
    assert cells.loc[0.0, "how"] == "exact"
    gap = b["top1_mean"] - a["top1_mean"]
    above = math.hypot(b["top1_high"] - b["top1_mean"], a["top1_mean"] - a["top1_low"])
    assert gap < 0
    assert (found["difference"], found["high"]) == pytest.approx((gap, gap + above))
    assert found["p"] == pytest.approx(2 * stats.norm.sf(stats.norm.ppf(0.975) * -gap / above))


def test_p_values_are_adjusted_over_all_that_is_shown(make_rows: Make) -> None:
    rows = make_rows(protections=[("none", None), ("saf", None), ("clamp", None)], seeds=10)
    made = against(rows, "none")
    assert [each.b for each in made] == ["saf", "clamp"]
    p = np.concatenate([each.cells["p"] for each in made])
    np.testing.assert_allclose(np.concatenate([e.cells["p_adjusted"] for e in made]), holm(p))
    for each in made:
        assert (each.cells["differs"] == (each.cells["p_adjusted"] <= 0.05)).all()
        assert each.differing == each.cells["differs"].sum()
    assert together([]) == []


def test_of_one_kind_of_faults_few_comparisons_are_called_different() -> None:
    """Two equal methods with bimodal accuracies: at 5 % for a family, 6 sigma of 200 families."""
    random, false = np.random.default_rng(4), 0
    for _ in range(200):
        hits = random.random((2, 8, 15)) < 0.3
        gaps = (hits[0].astype(np.int64) - hits[1]) * 700
        false += bool((holm(np.array([sign_flip(g) for g in gaps])) <= 0.05).any())
    assert false <= 200 * 0.05 + 6 * math.sqrt(200 * 0.05 * 0.95)


def test_a_method_with_several_t_must_be_told_apart(make_rows: Make) -> None:
    rows = make_rows(
        protections=[("none", None), ("weight_scaling", 2.0), ("weight_scaling", 2.0**120)]
    )
    assert len(paired(rows, "weight_scaling · t=2^120", "none").cells) == 5
    with pytest.raises(SpecError, match=r"stands for 2 values of t; allowed: none, weight_sc"):
        paired(rows, "weight_scaling", "none")
    with pytest.raises(SpecError, match="'tmr' is not in the rows; allowed: none"):
        paired(rows, "none", "tmr")
    with pytest.raises(SpecError, match=r"are the same but for t; compare across fewer"):
        compare(Side("a", rows), Side("b", rows), across=["t"])
    with pytest.raises(SpecError, match="across: got 'seed'; allowed: model"):
        compare(Side("a", rows), Side("b", rows), across=["seed"])
    alone = rows[rows["method"] == "none"]
    with pytest.raises(SpecError, match="'none' is the only method"):
        against(pd.DataFrame(alone), "none")


def test_one_t_need_not_be_named(make_rows: Make) -> None:
    rows = make_rows(protections=[("none", None), ("weight_scaling", 2.0)])
    assert paired(rows, "weight_scaling", "none").b == "weight_scaling · t=2"

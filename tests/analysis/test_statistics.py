"""Intervals against exact ones, against draws, and by the coverage they promise."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from campaign.analysis.statistics import mean_interval, seed_weights, summarise, wilson

SIGMAS = 6.0
BIMODAL = [(0.5, 20), (0.3, 10), (0.1, 20), (0.05, 20), (0.05, 50), (0.02, 50), (0.3, 3)]


def maps(share: float, count: int, repeats: int) -> tuple[np.ndarray, float]:
    """Accuracies of fault maps of which a share ruins the network, and their true mean."""
    random = np.random.default_rng([round(1000 * share), count])
    ruined = random.random((repeats, count)) < share
    shape = ruined.shape
    values = np.where(ruined, random.uniform(0.08, 0.3, shape), random.uniform(0.91, 0.92, shape))
    return values, share * 0.19 + (1 - share) * 0.915


def coverage(bounds: tuple[np.ndarray, np.ndarray], mean: float) -> float:
    low, high = bounds
    return float(np.mean((low <= mean) & (mean <= high)))


@pytest.mark.parametrize("count", [2, 3, 5, 10, 20, 50, 200])
def test_yes_or_no_outcomes_get_the_clopper_pearson_interval(count: int) -> None:
    yes = np.arange(count + 1)
    low, high = mean_interval((np.arange(count) < yes[:, None]).astype(float))
    assert low[0] == 0
    assert high[-1] == 1
    upper_tail = stats.binom.cdf(yes[:-1], count, high[:-1])
    lower_tail = stats.binom.sf(yes[1:] - 1, count, low[1:])
    for tail in (upper_tail, lower_tail):
        assert tail.max() <= 0.025 * 1.001
        assert tail.min() >= 0.025 * 0.96


@pytest.mark.parametrize("interval", ["bounded", "bootstrap"])
@pytest.mark.parametrize("count", [2, 5, 50, 300])
def test_equal_outcomes_get_the_rule_of_three_and_never_no_width(interval: str, count: int) -> None:
    low, high = mean_interval(np.full((1, count), 0.9), interval=interval)  # type: ignore[arg-type]
    kept = 0.025 ** (1 / count)
    assert low[0] == pytest.approx(0.9 * kept, rel=0.015)
    assert 1 - high[0] == pytest.approx(0.1 * kept, rel=0.015)


@pytest.mark.parametrize("unseen", [True, False])
def test_the_bound_leaves_out_the_tail_that_draws_of_dirichlet_weights_leave_out(
    unseen: bool,
) -> None:
    random = np.random.default_rng(5)
    draws = 400_000
    for count in (8, 20, 40):
        values = np.where(random.random(count) < 0.3, 0.1, 0.9) + random.uniform(0, 0.05, count)
        interval = "bounded" if unseen else "bootstrap"
        low, high = mean_interval(values[None], interval=interval)  # type: ignore[arg-type]
        for bound, edge, side in ((high[0], 1.0, 1), (low[0], 0.0, -1)):
            shown = np.append(values, edge) if unseen else values
            weights = random.exponential(size=(draws, len(shown)))
            means = weights @ shown / weights.sum(axis=1)
            left_out = float(np.mean(side * (means - bound) > 0))
            noise = SIGMAS * math.sqrt(0.025 / draws)
            assert 0.025 * 0.93 - noise < left_out < 0.025 * 1.05 + noise


@pytest.mark.parametrize(("share", "count"), BIMODAL)
def test_the_bounded_interval_covers_the_mean_of_bimodal_accuracy(share: float, count: int) -> None:
    repeats = 3000
    values, mean = maps(share, count, repeats)
    noise = SIGMAS * math.sqrt(0.05 * 0.95 / repeats)
    assert coverage(mean_interval(values), mean) > 0.95 - noise


def test_the_bounded_interval_nears_nominal_coverage_as_maps_are_added() -> None:
    repeats = 3000
    values, mean = maps(0.4, 300, repeats)
    noise = SIGMAS * math.sqrt(0.05 * 0.95 / repeats)
    assert abs(coverage(mean_interval(values), mean) - 0.95) < 0.01 + noise


def test_the_bootstrap_covers_in_the_knee_and_not_where_ruin_is_rare() -> None:
    repeats = 3000
    noise = SIGMAS * math.sqrt(0.05 * 0.95 / repeats)
    knee, knee_mean = maps(0.5, 50, repeats)
    rare, rare_mean = maps(0.05, 20, repeats)
    assert coverage(mean_interval(knee, interval="bootstrap"), knee_mean) > 0.94 - noise
    assert coverage(mean_interval(rare, interval="bootstrap"), rare_mean) < 0.75


def test_an_interval_depends_on_its_own_row_alone_and_not_on_the_order_of_seeds() -> None:
    random = np.random.default_rng(2)
    values = random.uniform(size=(50, 30))
    low, high = mean_interval(values)
    for row in range(50):
        alone = mean_interval(random.permutation(values[row])[None])
        assert float(alone.low[0]) == pytest.approx(low[row], abs=1e-12)
        assert float(alone.high[0]) == pytest.approx(high[row], abs=1e-12)


def test_the_interval_of_mirrored_values_is_the_mirrored_interval() -> None:
    values = np.random.default_rng(3).uniform(size=(20, 15))
    low, high = mean_interval(values)
    mirrored = mean_interval(1 - values)
    np.testing.assert_allclose(mirrored.low, 1 - high, atol=1e-9)
    np.testing.assert_allclose(mirrored.high, 1 - low, atol=1e-9)


def test_an_interval_scales_with_its_limits() -> None:
    values = np.random.default_rng(4).uniform(size=(20, 15))
    low, high = mean_interval(values)
    wide = mean_interval(2 * values - 1, limits=(-1.0, 1.0))
    np.testing.assert_allclose(wide.low, 2 * low - 1, atol=1e-9)
    np.testing.assert_allclose(wide.high, 2 * high - 1, atol=1e-9)


def test_more_confidence_is_wider_and_more_seeds_are_narrower() -> None:
    values = np.tile([[0.9, 0.9, 0.2]], 20)
    widths = [
        np.ptp(mean_interval(values[:, : 3 * count], level=level), axis=0)[0]
        for count, level in ((20, 0.5), (20, 0.95), (5, 0.95), (5, 0.999))
    ]
    assert widths == sorted(widths)


def test_one_value_has_no_interval_and_no_rows_give_none() -> None:
    assert np.isnan(mean_interval(np.array([[0.5]]))).all()
    assert mean_interval(np.empty((0, 5))).low.shape == (0,)


@pytest.mark.parametrize("wrong", [1.1, -0.1, math.nan])
def test_values_outside_the_limits_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"outside \[0, 1\]; leave failed trials out"):
        mean_interval(np.array([[0.5, wrong]]))


def test_cells_are_described_as_pandas_describes_them() -> None:
    random = np.random.default_rng(6)
    cells = random.integers(0, 40, 500)
    cells[cells == 7] = 8
    cells[0] = 45
    values = random.uniform(size=500)
    found = summarise(values, cells, 46)
    groups = pd.Series(values).groupby(cells)
    every = range(46)
    expected = {
        "mean": groups.mean(),
        "sd": groups.std(),
        "median": groups.median(),
        "q05": groups.quantile(0.05),
        "q95": groups.quantile(0.95),
    }
    for name, series in expected.items():
        np.testing.assert_allclose(getattr(found, name), series.reindex(every), atol=1e-12)
    assert np.isnan(found.mean[7])
    assert found.mean[45] == values[0]
    assert np.isnan([found.low[45], found.high[45], found.sd[45]]).all()
    many = groups.count().reindex(every).fillna(0) > 1
    assert (found.low[many] < found.mean[many]).all()
    assert (found.mean[many] < found.high[many]).all()


@pytest.mark.parametrize(("yes", "trials"), [(0, 10), (3, 10), (10, 10), (1, 3000)])
def test_wilson_agrees_with_scipy(yes: int, trials: int) -> None:
    low, high = wilson(np.array(float(yes)), np.array(float(trials)))
    expected = stats.binomtest(yes, trials).proportion_ci(method="wilson")
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_no_trials_is_not_a_number() -> None:
    assert np.isnan(wilson(np.array(0.0), np.array(0.0))).all()


def test_seed_weights_are_positive_shares_the_same_each_time_and_cannot_be_changed() -> None:
    weights = seed_weights(7)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (weights > 0).all()
    seed_weights.cache_clear()
    np.testing.assert_array_equal(weights, seed_weights(7))
    with pytest.raises(ValueError, match="read-only"):
        weights[0, 0] = 1
    assert weights.var(axis=0) == pytest.approx(np.full(7, 6 / 49 / 8), rel=0.2)

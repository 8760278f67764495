"""Estimates of cells against cells of which the mean is known, and rules against their formulas."""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from campaign.analysis.cell import CellHistory, FlipChances, estimate, independent_flips
from campaign.analysis.sequential import Done, Precision, Round, next_round, outstanding

IMAGES, RIGHT = 10_000, 9_200
REPLICATIONS = 500
WANTED = Precision(half_width=0.03, max_seeds=20_000)
MEMORY, WORST_BITS = 320_000, 10_000
Random = np.random.Generator
Rows = np.ndarray


class Cell(NamedTuple):
    """A population of maps: which share of the right images each one ruins, and the mean of it."""

    ruined: Callable[[Random, np.ndarray], np.ndarray]
    """From the flips in the worst class, (maps,)."""
    mean: float
    sd: float
    ber: float | None = None

    @property
    def truth(self) -> float:
        return RIGHT / IMAGES * (1 - self.mean)

    @property
    def chances(self) -> FlipChances | None:
        return None if self.ber is None else independent_flips(self.ber, MEMORY, WORST_BITS)

    def draw(self, random: Random, maps: int, images: int) -> Rows:
        """Rows (6, maps) in the order of `CellHistory`."""
        worst = random.binomial(WORST_BITS, self.ber or 0, maps)
        flips = worst + random.binomial(MEMORY - WORST_BITS, self.ber or 0, maps)
        if self.ber is None:
            flips += 1
        share = np.where(flips > 0, self.ruined(random, worst), 0.0)
        expected = images * RIGHT / IMAGES
        right = np.floor(expected).astype(int) + (random.random(maps) < expected % 1)
        correct = right - random.binomial(right, share)
        return np.stack([np.full(maps, images), correct, 0 * right, right, flips, worst])


def mixed(probability: float) -> Cell:
    """A share of the maps ruins 0.7 to 1 of the images, the others none."""

    def ruined(random: Random, worst: np.ndarray) -> np.ndarray:
        return (random.random(len(worst)) < probability) * random.uniform(0.7, 1, len(worst))

    second = probability * (0.85**2 + 0.3**2 / 12)
    return Cell(ruined, probability * 0.85, math.sqrt(second - (probability * 0.85) ** 2))


def even(low: float, high: float) -> Cell:
    """Every map ruins between `low` and `high` of the images."""
    spread = (high - low) / math.sqrt(12)
    return Cell(lambda r, k: r.uniform(low, high, len(k)), (low + high) / 2, spread)


def by_worst_flips(ber: float) -> Cell:
    """Each flip in the worst class ruins nine tenths of the images with probability 0.7."""
    count = np.arange(60)
    chance = stats.binom.pmf(count, WORST_BITS, ber)
    ruin = float(chance @ (1 - 0.3**count))
    spread = 0.9 * math.sqrt(ruin * (1 - ruin))
    return Cell(lambda r, k: 0.9 * (r.random(len(k)) < 1 - 0.3**k), 0.9 * ruin, spread, ber)


CELLS = {
    "bimodal": mixed(0.45),
    "rare catastrophe": mixed(0.01),
    "near-deterministic": even(0.05, 0.06),
    "no harm": even(0, 0),
    "within": even(0.3, 0.7),
    "worst class": by_worst_flips(8e-5),
    "mostly untouched": by_worst_flips(3e-6),
}
RARE = ["rare catastrophe", "mostly untouched"]
NON_DEGENERATE = ["bimodal", "within", "worst class"]


def history(cell: Cell, rows: Rows) -> CellHistory:
    return CellHistory(IMAGES, RIGHT, *rows.astype(np.int64), chances=cell.chances)


def replicate(cell: Cell, precision: Precision, replication: int) -> tuple[Done, Rows]:
    random, rows = np.random.default_rng([replication, 5]), np.zeros((6, 0))
    while True:
        decision = next_round(history(cell, rows), precision)
        if isinstance(decision, Done):
            return decision, rows
        drawn = cell.draw(random, decision.seeds, decision.images)
        rows = np.concatenate([rows, drawn], axis=1)


SAME = [pytest.param(name, marks=pytest.mark.xdist_group(f"cell {name}")) for name in CELLS]
"""Cells, of each all in one process, so that it is sampled once."""


@cache
def replications(name: str) -> tuple[Done, ...]:
    return tuple(replicate(CELLS[name], WANTED, place)[0] for place in range(REPLICATIONS))


@pytest.mark.parametrize("name", SAME)
def test_intervals_have_the_wanted_width_and_cover_the_mean(name: str) -> None:
    truth = CELLS[name].truth
    found = [done.estimate for done in replications(name)]
    assert {done.reason for done in replications(name)} == {"precise"}
    assert max(each.half_width for each in found) <= WANTED.half_width
    assert all(each.low <= each.accuracy <= each.high for each in found)
    covered = np.mean([each.low <= truth <= each.high for each in found])
    assert covered >= 0.93
    assert name not in NON_DEGENERATE or covered <= 0.985


@pytest.mark.parametrize("name", SAME)
def test_the_estimate_has_no_bias_beyond_its_error_and_the_second_order_of_stopping(
    name: str,
) -> None:
    values = np.array([done.estimate.accuracy for done in replications(name)])
    error = values.std() / math.sqrt(REPLICATIONS)
    # Stopping when no ruined map was seen leaves a bias of second order; see `_debiased`.
    left = 0.03 * WANTED.half_width if name in RARE else 1e-12
    assert abs(values.mean() - CELLS[name].truth) <= 4 * error + left


@pytest.mark.parametrize("name", SAME)
def test_few_images_a_map_cost_fifty_times_less_than_full_set_maps(name: str) -> None:
    cell = CELLS[name]
    spent = np.mean([done.estimate.images for done in replications(name)])
    # Without any sequential rule: the normal interval where maps differ, the rule of three else.
    normal = (1.96 * cell.sd * RIGHT / IMAGES / WANTED.half_width) ** 2
    unseen = math.log(0.025) / math.log(1 - 2 * WANTED.half_width)
    touched = 1 - (cell.chances.untouched if cell.chances else 0)
    assert max(normal, unseen) * touched * IMAGES > 50 * spent


def test_without_strata_the_estimate_is_the_plain_mean_and_its_interval_that_of_the_mean() -> None:
    rows = CELLS["bimodal"].draw(np.random.default_rng(3), 200, 40)
    found = estimate(history(CELLS["bimodal"], rows))
    difference = (rows[1] - rows[3]) / rows[0]
    assert not found.stratified
    assert found.accuracy == pytest.approx(RIGHT / IMAGES + difference.mean(), abs=1e-12)
    boot = np.random.default_rng(0).dirichlet(np.ones(200), size=20_000) @ difference
    low, high = np.quantile(boot, [0.025, 0.975]) + RIGHT / IMAGES
    assert low - 0.02 < found.low < low + 0.001
    assert high - 0.001 < found.high < high + 0.02


def test_worst_class_strata_narrow_the_interval_and_leave_the_mean_unbiased() -> None:
    cell = CELLS["worst class"]
    values, widths = [], []
    for place in range(150):
        rows = cell.draw(np.random.default_rng([place, 1]), 150, 32)
        strata, plain = (
            estimate(CellHistory(IMAGES, RIGHT, *rows.astype(np.int64), chances=chances))
            for chances in (cell.chances, None)
        )
        values.append(strata.accuracy)
        widths.append(strata.half_width / plain.half_width)
    assert np.mean(widths) < 0.85
    assert abs(np.mean(values) - cell.truth) < 4 * np.std(values) / math.sqrt(len(values))


def test_the_estimate_of_strata_is_that_of_cochran_up_to_the_folds() -> None:
    cell = CELLS["worst class"]
    rows = cell.draw(np.random.default_rng(2), 4000, 32)
    chances = cell.chances
    assert chances is not None
    difference, worst = (rows[1] - rows[3]) / rows[0], rows[5].astype(int)
    weights = stats.binom.pmf(np.arange(12), WORST_BITS, cell.ber or 0)
    means = [difference[worst == k].mean() if (worst == k).any() else -0.83 for k in range(12)]
    found = estimate(history(cell, rows))
    assert found.stratified
    assert found.accuracy == pytest.approx(RIGHT / IMAGES + weights @ means, abs=5e-4)


def test_maps_without_a_flip_weigh_what_they_are_known_to_weigh() -> None:
    chances = FlipChances(0.75, np.array([1.0]))
    flips = np.array([0, 0, 0, 1, 2, 5])
    right, correct = np.full(6, 92), np.where(flips > 0, 52, 92)
    columns = [np.full(6, 100), correct, 0 * flips, right, flips, 0 * flips]
    found = estimate(CellHistory(IMAGES, RIGHT, *columns, chances=chances))
    assert found.accuracy == pytest.approx(0.92 - 0.25 * 0.4)
    assert found.images == 300


def test_a_cell_whose_maps_hardly_ever_flip_needs_none() -> None:
    none = history(CELLS["mostly untouched"], np.zeros((6, 0)))
    quiet = CellHistory(
        IMAGES, RIGHT, *(np.zeros(0, np.int64),) * 6, chances=independent_flips(1e-9, 320_000, 1)
    )
    assert next_round(none, WANTED) == Round(0, 50, 32)
    done = next_round(quiet, WANTED)
    assert isinstance(done, Done)
    assert done.reason == "precise"
    assert done.estimate.accuracy == pytest.approx(0.92)


def test_a_cell_that_hits_its_cap_says_so_and_spends_no_more() -> None:
    tight = Precision(half_width=0.005, max_seeds=120)
    done, rows = replicate(CELLS["bimodal"], tight, 0)
    assert done.reason == "max_seeds"
    assert rows.shape[1] == done.estimate.seeds == 120
    assert done.estimate.half_width > tight.half_width


def test_images_are_few_where_maps_differ_and_more_where_maps_are_dear() -> None:
    def images(name: str, cost: float) -> int:
        rows = CELLS[name].draw(np.random.default_rng(1), 200, 32)
        decision = next_round(history(CELLS[name], rows), Precision(map_cost=cost))
        assert isinstance(decision, Round)
        return decision.images

    assert images("bimodal", 0) == 8
    assert images("bimodal", 100) <= 32
    assert images("within", 10) < images("within", 1e4)
    assert images("within", 1e9) == IMAGES


def test_a_resumed_cell_decides_as_one_that_was_never_interrupted() -> None:
    cell = CELLS["worst class"]
    done, rows = replicate(cell, WANTED, 7)
    assert outstanding(history(cell, rows), WANTED) == done
    seen, start = [], 0
    for maps in range(0, rows.shape[1], 5):
        step = outstanding(history(cell, rows[:, :maps]), WANTED)
        assert isinstance(step, Round)
        assert step.first <= maps < step.first + step.seeds
        if step not in seen:
            assert step.first == start
            start += step.seeds
            seen.append(step)
        assert rows[0, maps] == step.images
    assert start == rows.shape[1]


def test_a_seed_without_a_result_is_spent_and_not_averaged() -> None:
    rows = CELLS["bimodal"].draw(np.random.default_rng(1), 99, 32).astype(np.int64)
    with_failure = CellHistory(IMAGES, RIGHT, *rows, failed=(7,))
    assert estimate(with_failure).seeds == 100
    assert estimate(with_failure).accuracy == estimate(CellHistory(IMAGES, RIGHT, *rows)).accuracy
    decision = next_round(with_failure, WANTED)
    assert isinstance(decision, Round)
    assert decision.first == 100
    assert len(with_failure.first(50).n_samples) == 49
    assert len(with_failure.first(7).n_samples) == 7
    first = outstanding(with_failure.first(60), WANTED)
    assert isinstance(first, Round)
    assert first.first == 50


def test_a_cell_of_which_every_trial_fails_is_given_up_after_the_first_round() -> None:
    nothing = (np.zeros(0, np.int64),) * 6
    done = next_round(CellHistory(IMAGES, RIGHT, *nothing, failed=tuple(range(50))), WANTED)
    assert isinstance(done, Done)
    assert done.reason == "failed"
    assert (done.estimate.low, done.estimate.high) == (0, 1)


@pytest.mark.parametrize("images", [1, 5, 8, 9, 600])
def test_no_map_takes_more_images_than_there_are(images: int) -> None:
    none = np.zeros((6, 0), np.int64)
    first = next_round(CellHistory(images, images, *none), WANTED)
    assert isinstance(first, Round)
    assert first.images == min(32, images)
    wrong = np.random.default_rng(0).integers(0, first.images + 1, size=50)
    full = np.full(50, first.images)
    rows = [full, full - wrong, 0 * wrong, full, full, full]
    second = next_round(CellHistory(images, images, *rows), WANTED)
    assert isinstance(second, Round)
    assert second.images <= images


@pytest.mark.parametrize(("ber", "bits"), [(0.0, 10), (1e-6, 9872), (1e-4, 9872), (1.0, 3)])
def test_the_chances_are_binomial_and_sum_to_one(ber: float, bits: int) -> None:
    untouched, worst = independent_flips(ber, 32 * bits, bits)
    assert untouched == pytest.approx((1 - ber) ** (32 * bits))
    assert worst.sum() == pytest.approx(1, abs=1e-12)
    kept = np.arange(len(worst) - 1)
    np.testing.assert_allclose(worst[:-1], stats.binom.pmf(kept, bits, ber), rtol=1e-12)

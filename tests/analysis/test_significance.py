"""P-values against scipy and against counting by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from campaign.analysis import significance
from campaign.analysis.significance import DRAWS, holm, permutation, sign_flip


def test_sign_flips_are_counted_exactly() -> None:
    random = np.random.default_rng(0)
    for size in (*range(1, 11), 10):
        gaps = random.integers(-6, 9, size) * random.integers(0, 2, size)
        sums = [abs(sum(s * g for s, g in zip(signs, gaps, strict=True)))
                for signs in itertools.product((-1, 1), repeat=size)]  # fmt: skip
        share = np.mean(np.array(sums) >= abs(gaps.sum()))
        assert sign_flip(gaps) == pytest.approx(share, rel=1e-12), gaps
    assert sign_flip(np.full(60, 10)) == pytest.approx(2.0**-59, rel=1e-12)
    assert sign_flip(np.zeros(5, dtype=np.int64)) == 1.0


def test_a_common_factor_or_sign_changes_nothing() -> None:
    gaps = np.array([40, -15, 5, 90, 25, 0, 35])
    assert sign_flip(gaps) == sign_flip(-gaps) == sign_flip(gaps // 5)


def test_many_pairs_agree_with_the_paired_t_test() -> None:
    random = np.random.default_rng(1)
    for shift in (10, 35, 60):
        gaps = np.rint(random.normal(shift, 100, 60)).astype(np.int64)
        assert sign_flip(gaps) == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue, rel=0.25)


def test_drawn_rearrangements_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    gaps = np.array([40, -15, 5, 90, 25, 7, -35, 12, 60, -33])
    exact = sign_flip(gaps)
    monkeypatch.setattr(significance, "_MOST_STEPS", 0)
    off = 6 * math.sqrt(exact * (1 - exact) / DRAWS)
    assert sign_flip(gaps) == pytest.approx(exact, abs=off)
    a, b = np.array([0.9, 0.8, 0.2, 0.7, 0.9, 0.4]), np.array([0.5, 0.1, 0.6, 0.2, 0.3, 0.3, 0.8])
    exact = permutation(a, b)
    monkeypatch.setattr(math, "comb", lambda n, k: DRAWS + 1)
    assert permutation(a, b) == pytest.approx(exact, abs=6 * math.sqrt(exact / DRAWS))


def test_groups_are_rearranged_as_scipy_does() -> None:
    random = np.random.default_rng(2)
    for n, m in ((2, 2), (2, 5), (5, 5), (6, 7)):
        a, b = random.integers(0, 5, n) / 5, random.integers(0, 6, m) / 5
        if len({*a, *b}) == 1:
            continue
        known = stats.permutation_test(
            (a, b), lambda x, y: abs(x.mean() - y.mean()), alternative="greater", n_resamples=9999
        )
        assert permutation(a, b) == pytest.approx(known.pvalue, rel=1e-9), (a, b)
    assert permutation(np.full(3, 0.5), np.full(9, 0.5)) == 1.0


def test_holm_steps_down() -> None:
    random = np.random.default_rng(3)
    p = np.round(random.uniform(0, 0.2, 30), 3)
    known, highest = dict[int, float](), 0.0
    for rank, place in enumerate(sorted(range(30), key=lambda k: p[k])):
        highest = max(highest, min(1.0, (30 - rank) * p[place]))
        known[place] = highest
    np.testing.assert_allclose(holm(p), [known[k] for k in range(30)])
    np.testing.assert_allclose(holm(np.array([math.nan, 0.2])), [math.nan, 0.2])
    assert holm(np.array([])).shape == (0,)

"""The tolerated BER against curves whose crossing is known."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from campaign.analysis.tolerance import crossing, tolerated_ber

Make = Callable[..., Any]
BERS = np.logspace(-8, -3, 51)


def logistic(ber: np.ndarray, knee: float) -> np.ndarray:
    """From 0.9 to 0.1, half way at `knee`, in log10 BER with slope 4."""
    return 0.1 + 0.8 / (1 + (ber / knee) ** 4)


def knee_to_crossing(knee: float, drop: float) -> float:
    """Where `logistic` has fallen by `drop`, in closed form."""
    return knee * (drop / (0.8 - drop)) ** 0.25


def curve_rows(make_points: Make, knees: list[float], **given: Any) -> list[dict[str, Any]]:
    rows = make_points([0.9], 0.0, **given)
    for ber in BERS:
        rows += make_points(logistic(ber, np.array(knees)), float(ber), **given)
    return rows


def test_a_logistic_curve_is_tolerated_to_where_the_formula_says(
    make_points: Make, to_frame: Make
) -> None:
    found = tolerated_ber(to_frame(curve_rows(make_points, [1e-5] * 4))).iloc[0]
    for drop, column in ((0.01, "ber_at_1pt"), (0.05, "ber_at_5pt")):
        expected = knee_to_crossing(1e-5, drop)
        assert found[column] == pytest.approx(expected, rel=0.03)
        assert found[f"{column}_low"] == pytest.approx(found[column])
        assert found[f"{column}_high"] == pytest.approx(found[column])
        assert found[[f"{column}_note", f"{column}_low_note", f"{column}_high_note"]].eq("").all()
    assert found["n_seeds"] == 4


def test_between_two_bers_the_mean_is_linear_in_log_ber() -> None:
    bers, means = np.array([1e-6, 1e-4]), np.array([[0.9, 0.5], [0.9, 0.7]])
    np.testing.assert_allclose(crossing(bers, means, 0.8), [10**-5.5, 1e-5])


def test_crossings_beyond_what_was_measured_are_zero_and_infinite() -> None:
    bers = np.array([1e-6, 1e-5, 1e-4])
    means = np.array([[0.9, 0.9, 0.9], [0.1, 0.9, 0.9], [0.9, 0.2, 0.9], [0.9, 0.8, 0.8]])
    found = crossing(bers, means, 0.8)
    assert found[0] == math.inf
    assert found[1] == 0
    assert 1e-6 < found[2] < 1e-5
    assert found[3] == pytest.approx(1e-5)


def test_a_curve_that_never_falls_and_one_that_fell_before_are_said_in_words(
    make_points: Make, to_frame: Make
) -> None:
    rows = make_points([0.9], 0.0) + make_points([0.9, 0.9], 1e-6) + make_points([0.899] * 2, 1e-3)
    rows += make_points([0.9], 0.0, dtype="fp16") + make_points([0.2, 0.3], 1e-6, dtype="fp16")
    found = tolerated_ber(to_frame(rows)).set_index("dtype")
    for end in ("", "_low", "_high"):
        assert found[f"ber_at_1pt{end}"].isna().all()
        assert found.loc["fp32", f"ber_at_1pt{end}_note"] == "> 1e-3"
        assert found.loc["fp16", f"ber_at_1pt{end}_note"] == "< 1e-6"


def test_one_end_of_an_interval_may_be_beyond_what_was_measured(
    make_points: Make, to_frame: Make
) -> None:
    rows = make_points([0.9], 0.0)
    rows += make_points([0.9] * 6, 1e-6) + make_points([0.9] * 3 + [0.86, 0.85, 0.8], 1e-5)
    found = tolerated_ber(to_frame(rows)).iloc[0]
    assert found["ber_at_5pt_note"] == "> 1e-5"
    assert 1e-6 < found["ber_at_1pt_low"] < found["ber_at_1pt"] < 1e-5
    assert (found["ber_at_5pt_low_note"] == "") == (not math.isnan(found["ber_at_5pt_low"]))


@pytest.mark.parametrize(
    ("shares", "ber", "note"),
    [([0.9], 0.0, "no results"), ([0.5, 0.6], 1e-6, "no clean accuracy")],
)
def test_what_is_missing_is_named(
    make_points: Make, to_frame: Make, shares: list[float], ber: float, note: str
) -> None:
    found = tolerated_ber(to_frame(make_points(shares, ber))).iloc[0]
    assert math.isnan(found["ber_at_1pt"])
    assert found["ber_at_1pt_note"] == note
    assert found["ber_at_1pt_low_note"] == note


def test_one_seed_has_a_value_and_no_interval(make_points: Make, to_frame: Make) -> None:
    found = tolerated_ber(to_frame(curve_rows(make_points, [1e-5]))).iloc[0]
    assert found["ber_at_5pt"] == pytest.approx(knee_to_crossing(1e-5, 0.05), rel=0.03)
    assert math.isnan(found["ber_at_5pt_low"])
    assert found["ber_at_5pt_low_note"] == found["ber_at_5pt_high_note"] == "one seed"


def test_failed_trials_are_left_out_of_the_mean_of_their_ber(
    make_points: Make, to_frame: Make
) -> None:
    rows = make_points([0.9], 0.0) + make_points([0.9] * 4, 1e-6) + make_points([0.7] * 4, 1e-4)
    rows += make_points([0.1] * 4, 1e-5)
    whole = tolerated_ber(to_frame(rows[:-4])).iloc[0]
    for row in rows[-4:]:
        row |= {"status": "error", "n_correct": None, "n_samples": None}
    lost = tolerated_ber(to_frame(rows)).iloc[0]
    assert lost["ber_at_5pt"] == pytest.approx(whole["ber_at_5pt"]) == 10**-5.5


def test_seeds_with_huge_numbers_stay_apart(make_points: Make, to_frame: Make) -> None:
    rows = make_points([0.9], 0.0) + make_points([0.9, 0.7], 1e-6)
    rows[1]["seed"], rows[2]["seed"] = 2**62, 2**62 + 1
    assert tolerated_ber(to_frame(rows)).loc[0, "n_seeds"] == 2


def test_the_interval_covers_where_the_knee_moves_with_the_seed(
    make_points: Make, to_frame: Make
) -> None:
    campaigns, seeds = 80, 30
    random = np.random.default_rng(8)
    bers = np.logspace(-6.5, -4.5, 9)
    knees = 10 ** random.normal(-5.5, 0.3, (campaigns, seeds))
    rows = []
    for number in range(campaigns):
        rows += make_points([0.9], 0.0, model=str(number))
        for ber in bers:
            rows += make_points(logistic(ber, knees[number]), float(ber), model=str(number))
    found = tolerated_ber(to_frame(rows))
    many = logistic(bers[:, None], 10 ** random.normal(-5.5, 0.3, 100_000)).mean(axis=1)
    truth = crossing(bers, many[None], 0.85)[0]
    covered = ((found["ber_at_5pt_low"] <= truth) & (truth <= found["ber_at_5pt_high"])).mean()
    assert covered > 0.92 - 6 * math.sqrt(0.92 * 0.08 / campaigns)
    width = np.log10(found["ber_at_5pt_high"] / found["ber_at_5pt_low"]).mean()
    assert 0.1 < width < 0.6


def test_columns_are_named_after_the_drop_and_the_answer_is_the_same_each_time(
    make_rows: Make,
) -> None:
    rows = make_rows()
    found = tolerated_ber(rows, [0.005, 0.1], metric="top5")
    assert {"ber_at_0.5pt", "ber_at_10pt_low", "ber_at_10pt_high_note"} <= set(found)
    shuffled = tolerated_ber(rows.sample(frac=1, random_state=1), [0.005, 0.1], metric="top5")
    pd.testing.assert_frame_equal(found, shuffled)


def test_a_drop_that_is_no_share_is_refused(make_rows: Make) -> None:
    with pytest.raises(ValueError, match=r"got \[1\]; allowed: shares in \(0, 1\)"):
        tolerated_ber(make_rows(), [1])

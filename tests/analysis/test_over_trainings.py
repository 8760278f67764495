"""One curve for all trainings of a method, against sums over the rows by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from campaign.analysis.over_trainings import mean_trials, trained_often
from campaign.analysis.page.data import page_data
from campaign.analysis.page.subject import Subject, gather, over_trainings
from campaign.analysis.pareto_points import sheets
from campaign.analysis.rows import as_trials
from campaign.analysis.tables import for_people, summary
from campaign.analysis.tolerance import tolerated_ber
from campaign.analysis.trainings import trainings
from tests.analysis.conftest import record

BERS, MAPS, TRAININGS = (1e-4, 1e-3, 1e-2), 6, 3
FALL = {1e-4: 0.0, 1e-3: 0.02, 1e-2: 0.2}


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    """Methods untrained, trained once and thrice; a trial of the last training failed."""
    draw, rows = np.random.default_rng(3), []
    networks = [("none", None), ("once", 0.0), *(("thrice", float(k)) for k in range(TRAININGS))]
    for method, seed in networks:
        setup = f"{method}-{seed}"
        clean = 900 + int(draw.integers(0, 30))
        for ber, k in [(0.0, 0), *((ber, k) for ber in BERS for k in range(MAPS))]:
            fall = 1000 * FALL.get(ber, 0.0) + (draw.integers(0, 40) if ber else 0)
            lost = setup == "thrice-2.0" and (ber, k) == (1e-2, 5)
            given = {"n_correct": None if lost else int(clean - fall), "ber": ber, "seed": k}
            given |= {"n_sdc": int(fall), "n_benign": int(1000 - fall)}
            given |= {"status": "failed" if lost else "ok", "method": method, "train_seed": seed}
            names = {"setup_id": setup, "trial_id": f"{setup}-{ber}-{k}"}
            rows.append({**record(**given), **names})
    return as_trials(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def subject(trials: pd.DataFrame) -> Subject:
    return over_trainings(gather(trials))


def test_a_method_is_one_curve_with_the_mean_over_its_trainings(
    trials: pd.DataFrame, subject: Subject
) -> None:
    good = trials[trials["status"] == "ok"].assign(share=lambda rows: rows["n_correct"] / 1000)
    thrice = good[good["method"] == "thrice"]
    by_hand = thrice.groupby(["ber", "train_seed"])["share"].mean().groupby("ber").mean()
    data = page_data(subject)
    curves = {data["styles"][c["style"]]["label"]: c for c in data["curves"]}
    assert len(data["curves"]) == len(curves) == 3
    (shown, once) = curves["thrice"], curves["once"]
    assert shown["cells"]["mean"] == pytest.approx(by_hand[by_hand.index > 0].tolist(), abs=1e-5)
    assert shown["clean"] == pytest.approx(by_hand[0.0], abs=1e-5)
    assert (shown["trainings"], once["trainings"]) == (3, 1)
    assert (shown["cells"]["trials"], once["cells"]["trials"]) == ([18, 18, 17], [6, 6, 6])
    assert (shown["cells"]["failed"], shown["maps"]) == ([0, 0, 1], MAPS)
    faulty = thrice[thrice["ber"] > 0].groupby("ber")
    sdc = faulty["n_sdc"].sum() / faulty["n_samples"].sum()
    assert shown["cells"]["sdc"] == pytest.approx(sdc.tolist(), abs=1e-5)
    assert shown["cells"]["sd"] == pytest.approx(faulty["share"].std().tolist(), abs=1e-5)
    ends = trainings(gather(trials).points, trials=trials).set_index("ber")
    assert shown["cells"]["low"] == pytest.approx(ends.loc[list(BERS), "low"].tolist(), abs=1e-5)
    assert shown["cells"]["high"] == pytest.approx(ends.loc[list(BERS), "high"].tolist(), abs=1e-5)


def test_the_tolerated_ber_is_that_of_the_mean_curve(
    trials: pd.DataFrame, subject: Subject
) -> None:
    every = trials[trials["method"] == "thrice"]
    by_map = every.groupby(["ber", "seed"])["n_correct"].mean() / 1000  # failed trials are NaN
    means, target = by_map.groupby("ber").mean(), by_map[0.0].mean() - 0.05
    above, below = means[1e-3], means[1e-2]
    assert above > target > below
    wanted = np.exp(np.interp(target, [below, above], np.log([1e-2, 1e-3])))
    table = subject.summary.set_index("method")
    assert table.loc["thrice", "ber_at_5pt"] == pytest.approx(wanted, rel=1e-9)
    assert table.loc["thrice", "ber_at_5pt_low"] < wanted < table.loc["thrice", "ber_at_5pt_high"]
    alone = tolerated_ber(trials).set_index("method")
    for method in ("none", "once"):
        assert table.loc[method, "ber_at_5pt"] == alone.loc[method, "ber_at_5pt"]
    assert [spot.name for spot in sheets(subject.cost, subject.order)[0].spots] == [
        "fp32 · none",
        "fp32 · once",
        "fp32 · thrice",
    ]


def test_a_row_a_map_is_left_and_tables_name_each_training(trials: pd.DataFrame) -> None:
    assert trained_often(trials).groupby(trials["method"]).sum().to_dict() == {
        "none": 0,
        "once": 0,
        "thrice": TRAININGS * (1 + len(BERS) * MAPS),
    }
    left = mean_trials(trials)
    assert len(left) == 3 * (1 + len(BERS) * MAPS)
    (row,) = left[
        (left["method"] == "thrice") & (left["ber"] == 1e-2) & (left["seed"] == 5)
    ].to_dict("records")
    same = trials[(trials["method"] == "thrice") & (trials["ber"] == 1e-2) & (trials["seed"] == 5)]
    assert row["n_correct"] == pytest.approx(same["n_correct"].dropna().mean())
    assert row["status"] == "ok"
    grid = for_people(summary(trials), "top1")
    place = [column.name for column in grid.columns].index(("Training",))
    assert [row[place] for block in grid.blocks for row in block] == [
        ("-",),
        ("0",),
        ("0",),
        ("1",),
        ("2",),
    ]

"""A campaign that adds trials until each mean is known: resumed, on workers, capped, reported."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from campaign.analysis.curves import curves
from campaign.analysis.maps import Clean, cell_history, maps_of
from campaign.analysis.sequential import Done, Precision, next_round, outstanding
from campaign.engines.stores.parquet import ParquetStore
from campaign.engines.stores.reader import read_results
from campaign.engines.stores.schema import to_records
from campaign.errors import DriftError, SetupError
from campaign.records import RESULT_COLUMNS, TrialRecord
from campaign.runner.history import plan_with_history, status_of
from campaign.runner.precision import precision_of
from campaign.runner.replay import replay
from campaign.runner.rounds import Rounds
from campaign.spec.expand import expand
from campaign.spec.load import load
from campaign.trial import worker

WANTED = "precision: {half_width: 0.1, min_seeds: 8, max_seeds: 3000, map_cost: 20}"


@pytest.fixture
def adaptive(campaign):  # noqa: ANN201
    """Two setups of two cells, known to ten points: some 300 trials."""
    campaign.edit("  seeds: 3\n", "")
    campaign.edit("[none, range_clamp]", "none")
    campaign.edit("[1.0e-3, 1.0e-2]", "[3.0e-5, 3.0e-4]")
    campaign.edit("evaluation:", f"{WANTED}\nevaluation:")
    return campaign


def results_of(campaign) -> dict[str, tuple[object, ...]]:
    table = read_results(campaign.results).to_pylist()
    assert len({row["trial_id"] for row in table}) == len(table)
    return {row["trial_id"]: tuple(row[c] for c in RESULT_COLUMNS) for row in table}


def frame_of(campaign) -> pd.DataFrame:
    frame: pd.DataFrame = read_results(campaign.results).to_pandas()
    return frame


def wanted_by(campaign) -> Precision:
    found = precision_of(load(campaign.path).spec)
    assert found is not None
    return found


def round_of_each(campaign, records: Iterable[TrialRecord]) -> dict[str, int]:
    """In which round of its cell each trial was decided; 0 is the fault-free one."""
    rows = [record.to_row() for record in records]
    clean = {row["setup_id"]: Clean.of(row) for row in rows if row["ber"] == 0}
    cells: dict[tuple[str, float], list[dict[str, object]]] = {}
    for row in rows:
        cells.setdefault((row["setup_id"], row["ber"]), []).append(row)
    found = {row["trial_id"]: 0 for row in rows if row["ber"] == 0}
    for (setup_id, ber), held in cells.items():
        if ber == 0:
            continue
        history = cell_history(clean[setup_id], maps_of(held), ber=ber, fault="bit_flip")
        by_seed = {row["seed"]: str(row["trial_id"]) for row in held}
        number, seeds = 0, 0
        while not isinstance(due := next_round(history.first(seeds), wanted_by(campaign)), Done):
            number += 1
            found |= {by_seed[seed]: number for seed in range(seeds, seeds + due.seeds)}
            assert {f"-n{due.images}"} == {
                f"-{by_seed[s].rsplit('-')[-1]}" for s in range(seeds, seeds + due.seeds)
            }
            seeds += due.seeds
        assert seeds == len(held)
    return found


def test_every_mean_is_known_as_well_as_was_wanted_and_not_much_better(adaptive) -> None:
    result = adaptive.run()
    assert (result.exit_code, result.ok, result.ran) == (0, result.total, result.total)
    points = curves(frame_of(adaptive), precision=wanted_by(adaptive))
    faulty = points[points["ber"] > 0]
    assert len(faulty) == 4
    assert set(faulty["stop"]) == {"precise"}
    half = (faulty["top1_high"] - faulty["top1_low"]) / 2
    assert bool((half <= 0.1).all())
    assert bool(((half > 0.05) | (faulty["n_trials"] == 8)).all())
    assert int(faulty["n_trials"].sum()) + 2 == result.total
    assert result.total < 2000


def test_a_second_run_decides_that_nothing_is_left(adaptive, monkeypatch) -> None:
    first = adaptive.run()

    def refuse(*_: object) -> None:
        raise AssertionError("an executor was made")

    monkeypatch.setattr("campaign.runner.run.make_executor", refuse)
    again = adaptive.run()
    assert (again.ran, again.total, again.ok, again.exit_code) == (0, first.total, first.ok, 0)


def test_interrupted_at_any_trial_the_rows_are_those_of_an_unbroken_run(adaptive) -> None:
    total = adaptive.run().total
    whole = results_of(adaptive)
    chance = random.Random(3)
    adaptive.results = adaptive.root / "results" / "broken"
    ran = 0
    while True:
        result = adaptive.run(limit=chance.randint(1, total // 4))
        ran += result.ran
        if result.exit_code == 0:
            break
        assert result.exit_code == 4
    assert ran == total
    assert results_of(adaptive) == whole


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_came_in_any_order_before_a_crash_change_nothing(adaptive, seed) -> None:
    """Whole rounds of each cell and any part of its next one, as workers leave them."""
    adaptive.run()
    whole, records = results_of(adaptive), to_records(read_results(adaptive.results))
    rounds = round_of_each(adaptive, records)
    assert max(rounds.values()) >= 3
    chance = random.Random(seed)
    reached = {(r.setup_id, r.ber): chance.randint(1, 3) for r in records}
    kept = [
        record
        for record in records
        if (due := rounds[record.trial_id]) < reached[record.setup_id, record.ber]
        or (due == reached[record.setup_id, record.ber] and chance.random() < 0.5)
    ]
    chance.shuffle(kept)
    adaptive.results = adaptive.root / "results" / "crashed"
    store = ParquetStore(adaptive.results)
    store.append(kept)
    store.close()
    result = adaptive.run()
    assert (result.exit_code, result.ran) == (0, len(whole) - len(kept))
    assert results_of(adaptive) == whole


@pytest.mark.slow
@pytest.mark.ray
def test_rows_do_not_depend_on_executor_and_workers(adaptive, monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    seen = []
    for executor, workers in (("inline", None), ("ray", 1), ("ray", 2)):
        adaptive.results = adaptive.root / "results" / f"{executor}{workers}"
        assert adaptive.run(executor=executor, workers=workers).exit_code == 0
        seen.append(results_of(adaptive))
    assert seen[0] == seen[1] == seen[2]


def test_a_cell_that_is_given_up_is_told_everywhere(adaptive) -> None:
    adaptive.edit("max_seeds: 3000", "max_seeds: 12")
    adaptive.edit("report: false", "report: true")
    result = adaptive.run()
    assert (result.exit_code, result.total) == (0, result.ok)
    counts = Counter(read_results(adaptive.results)["ber"].to_pylist())
    assert max(counts.values()) <= 2 * 12
    assert "digits_cnn · fp32 · none at 3e-4: known to " in " ".join(result.capped)
    assert all(line.endswith("points after 12 seeds") for line in result.capped)
    status = status_of(adaptive.results)
    assert (list(status.capped), status.total, status.ok) == (
        result.capped,
        result.total,
        result.ok,
    )
    table = (adaptive.results / "tables" / "summary_top1.md").read_text()
    assert "given up at max_seeds" in table
    (row,) = [line for line in table.splitlines() if "fp32" in line]
    assert "* |" in row
    points = pd.read_csv(adaptive.results / "tables" / "points.csv")
    assert int((points["stop"] == "max_seeds").sum()) == len(result.capped)


def test_status_tells_the_estimates_of_the_report(adaptive) -> None:
    adaptive.edit("report: false", "report: true")
    adaptive.run()
    points = pd.read_csv(adaptive.results / "tables" / "points.csv")
    told = {setup.label: dict(setup.accuracies) for setup in status_of(adaptive.results).setups}
    reported = {
        dtype: dict(zip(part["ber"], part["top1_mean"], strict=True))
        for dtype, part in points.groupby("dtype")
    }
    assert len(told) == len(reported)
    for label, curve in told.items():
        (dtype,) = (name for name in reported if name in label)
        assert curve == pytest.approx(reported[dtype], abs=1e-12)


def test_more_seeds_go_on_where_a_cell_was_given_up(adaptive) -> None:
    adaptive.edit("max_seeds: 3000", "max_seeds: 12")
    first = adaptive.run()
    before = results_of(adaptive)
    adaptive.edit("max_seeds: 12", "max_seeds: 3000")
    result = adaptive.run()
    assert first.capped
    assert (result.exit_code, result.capped) == (0, [])
    assert before.items() <= results_of(adaptive).items()


def test_a_smaller_half_width_keeps_the_rows_and_no_seed_runs_twice(adaptive) -> None:
    adaptive.run()
    before = results_of(adaptive)
    adaptive.edit("half_width: 0.1", "half_width: 0.07")
    assert adaptive.run().exit_code == 0
    after = frame_of(adaptive)
    assert before.items() <= results_of(adaptive).items()
    assert not after.duplicated(["setup_id", "ber", "seed"]).any()
    points = curves(after, precision=wanted_by(adaptive))
    half = (points["top1_high"] - points["top1_low"])[points["ber"] > 0] / 2
    assert bool((half <= 0.07).all())


def test_estimates_and_counted_seeds_do_not_share_a_folder(adaptive) -> None:
    adaptive.run(limit=3)
    adaptive.edit(WANTED, "")
    with pytest.raises(DriftError, match="images: the results have a sample for each seed"):
        adaptive.run()


def dirichlet_interval(values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The interval of the mean with one unseen map, by drawing its weights."""
    random = np.random.default_rng(1)
    weights = random.exponential(size=(400_000, len(values) + 1))
    weights /= weights.sum(axis=1, keepdims=True)
    ends = [weights @ np.append(values, unseen) for unseen in (low, high)]
    return float(np.quantile(ends[0], 0.025)), float(np.quantile(ends[1], 0.975))


@pytest.mark.slow
def test_the_interval_in_the_tables_is_that_of_a_recomputation_from_the_rows(adaptive) -> None:
    """Of at most 19 maps, too few for strata, given up and so without a correction of bias."""
    adaptive.edit("max_seeds: 3000", "max_seeds: 16")
    adaptive.edit("half_width: 0.1", "half_width: 0.002")
    adaptive.edit("report: false", "report: true")
    adaptive.run()
    points = pd.read_csv(adaptive.results / "tables" / "points.csv")
    rows = frame_of(adaptive)
    faulty = points[points["ber"] > 0]
    assert len(faulty) == 4
    for point in faulty.to_dict("records"):
        mine = rows[(rows["dtype"] == point["dtype"]) & (rows["ber"] == point["ber"])]
        (free,) = rows[(rows["dtype"] == point["dtype"]) & (rows["ber"] == 0)].to_dict("records")
        clean = free["n_correct"] / free["n_samples"]
        hit = mine[mine["flipped_bits"] > 0]
        values = ((hit["n_correct"] - hit["n_fault_free"]) / hit["n_samples"]).to_numpy(float)
        share = 1 - binom.pmf(0, free["exposed_bits"], point["ber"])
        reach = (min(values.min(), -clean), max(values.max(), 1 - clean))
        low, high = dirichlet_interval(values, *reach)
        assert point["top1_mean"] == pytest.approx(clean + share * values.mean(), abs=1e-12)
        assert point["top1_low"] == pytest.approx(max(clean + share * low, 0), abs=0.004)
        assert point["top1_high"] == pytest.approx(min(clean + share * high, 1), abs=0.004)
        assert (point["estimated"], point["stop"]) == (True, "max_seeds")
        assert point["images"] == hit["n_samples"].sum()


def test_what_the_driver_decides_is_what_the_rows_say_alone(adaptive) -> None:
    adaptive.run()
    rows = read_results(adaptive.results).to_pylist()
    clean = {row["setup_id"]: Clean.of(row) for row in rows if row["ber"] == 0}
    for setup_id, free in clean.items():
        for ber in (3e-5, 3e-4):
            mine = [r for r in rows if (r["setup_id"], r["ber"]) == (setup_id, ber)]
            history = cell_history(free, maps_of(mine), ber=ber, fault="bit_flip")
            found = outstanding(history, wanted_by(adaptive))
            assert isinstance(found, Done)
            assert found.estimate.seeds == len(mine)


def test_a_trial_on_a_sample_is_replayed_on_the_same_images(adaptive) -> None:
    adaptive.run(limit=20)
    held = [row for row in read_results(adaptive.results).to_pylist() if row["ber"] > 0]
    again = replay(adaptive.results, held[-1]["trial_id"])
    assert again.differing == ()
    assert again.new["n_samples"] == held[-1]["n_samples"] < 100


@pytest.mark.slow
def test_failed_maps_are_spent_at_once_and_tried_again_by_the_next_run(
    adaptive, monkeypatch
) -> None:
    adaptive.run()
    whole = results_of(adaptive)
    original = worker.run_sampled

    def fail_some(prepared, point, *drawn):  # noqa: ANN002, ANN202
        if point.ber > 0 and point.seed % 5 == 1:
            raise RuntimeError("no luck")
        return original(prepared, point)

    adaptive.results = adaptive.root / "results" / "unlucky"
    monkeypatch.setattr(worker, "run_sampled", fail_some)
    first = adaptive.run()
    assert first.exit_code == 3
    assert first.total == first.ok + sum(first.failures.values())
    monkeypatch.setattr(worker, "run_sampled", original)
    kept = adaptive.run(keep_failed=True)
    assert (kept.ran, kept.exit_code) == (0, 3)
    again = adaptive.run()
    assert (again.exit_code, again.failures) == (0, {})
    common = whole.keys() & results_of(adaptive).keys()
    assert len(common) >= 4 * 8
    assert all(whole[key] == results_of(adaptive)[key] for key in common)


def test_a_setup_without_a_fault_free_answer_fails_alone(adaptive) -> None:
    adaptive.edit("method: none", "method: [none, {saf: {function: scaled_tanh, a: 0.001}}]")
    result = adaptive.run()
    assert result.exit_code == 3
    assert sum(result.failures.values()) == 2
    assert status_of(adaptive.results).failed == 2


def test_the_plan_is_an_upper_bound_and_says_so(adaptive) -> None:
    spec = load(adaptive.path).spec
    plan = plan_with_history(spec, adaptive.results)
    assert (plan.trials, plan.half_width) == (2 * (2 * 3000 + 1), 0.1)
    result = adaptive.run()
    assert plan_with_history(spec, adaptive.results).done == result.ok < plan.trials


def test_no_round_is_decided_before_all_rows_of_the_last_one_are_in(adaptive) -> None:
    adaptive.run()
    records = {r.trial_id: r for r in to_records(read_results(adaptive.results))}
    grids = [grid for grid in expand(load(adaptive.path).spec) if grid.setup.dtype.label == "fp32"]
    held = next(r for r in records.values() if r.dtype == "fp32")
    setup = type(grids[0].setup)(**{**vars(grids[0].setup), "setup_id": held.setup_id})
    rounds = Rounds(
        [type(grids[0])(setup, grids[0].cells)],
        wanted_by(adaptive),
        lambda _: [],
        keep_failed=False,
    )
    (task,) = rounds.first()
    (first,) = task.points
    due = [p for t in rounds.follow([records[first.trial_id]]) for p in t.points]
    assert Counter(point.ber for point in due) == {3e-5: 8, 3e-4: 8}
    chance, seen = random.Random(5), 1
    while due:
        point = due.pop(chance.randrange(len(due)))
        fresh = [p for t in rounds.follow([records[point.trial_id]]) for p in t.points]
        assert not fresh or not any(p.ber == point.ber for p in due)
        due, seen = due + fresh, seen + 1
    assert rounds.total == seen == sum(r.dtype == "fp32" for r in records.values())


@pytest.mark.slow
def test_killed_again_and_again_ends_with_the_rows_of_an_unbroken_run(adaptive) -> None:
    adaptive.edit("half_width: 0.1", "half_width: 0.05")
    command = [sys.executable, "-m", "campaign", "run", str(adaptive.path), "--json"]
    chance, kept = random.Random(1), 0
    for _ in range(3):
        process = subprocess.Popen(
            [*command, "--results", str(adaptive.results)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wanted, deadline = kept + chance.randint(1, 100), time.monotonic() + 120
        while rows_in(adaptive.results) < wanted and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
        process.wait(timeout=60)
        now = rows_in(adaptive.results)
        assert now > kept
        kept = now
    resumed = adaptive.run()
    broken = results_of(adaptive)
    assert (resumed.exit_code, resumed.ran) == (0, len(broken) - kept)
    adaptive.results = adaptive.root / "results" / "unbroken"
    adaptive.run()
    assert broken == results_of(adaptive)


def rows_in(folder: Path) -> int:
    try:
        return int(read_results(folder).num_rows)
    except SetupError:
        return 0

"""A campaign run, resumed, extended, refused."""

from __future__ import annotations

import json
import math

import pytest

from campaign.analysis.labels import curve_key
from campaign.engines.stores.parquet import ParquetStore
from campaign.engines.stores.reader import read_results
from campaign.errors import DriftError, LockedError, SetupError, SpecError
from campaign.records import RESULT_COLUMNS
from campaign.runner.history import folder_of_trial, plan_with_history, status_of
from campaign.runner.replay import replay
from campaign.spec.grid import Point
from campaign.spec.load import load
from campaign.trial.run import Outcome
from campaign.trial.setup import Prepared

TRIALS = 28


def rows(campaign) -> dict[str, dict[str, object]]:
    table = read_results(campaign.results).to_pylist()
    assert len({row["trial_id"] for row in table}) == len(table)
    return {row["trial_id"]: row for row in table}


def results_of(campaign) -> dict[str, tuple[object, ...]]:
    return {key: tuple(row[c] for c in RESULT_COLUMNS) for key, row in rows(campaign).items()}


def test_every_trial_of_the_grid_gets_one_row(campaign, ear) -> None:
    result = campaign.run(ear=ear)
    assert (result.total, result.ran, result.ok, result.exit_code) == (TRIALS, TRIALS, TRIALS, 0)
    assert ear.plans == [(TRIALS, 0, TRIALS)]
    assert len(ear.records) == TRIALS
    found = rows(campaign)
    assert len(found) == TRIALS
    assert {row["status"] for row in found.values()} == {"ok"}
    assert {row["n_samples"] for row in found.values()} == {100}


def test_a_second_run_does_nothing_and_starts_no_executor(campaign, ear, monkeypatch) -> None:
    campaign.run()
    before = rows(campaign)

    def refuse(*_: object) -> None:
        raise AssertionError("an executor was made")

    monkeypatch.setattr("campaign.runner.run.make_executor", refuse)
    result = campaign.run(ear=ear)
    assert (result.ran, result.ok, result.exit_code) == (0, TRIALS, 0)
    assert ear.plans == [(TRIALS, TRIALS, 0)]
    assert rows(campaign) == before


@pytest.mark.parametrize(
    ("old", "new", "more"),
    [
        ("seeds: 3", "seeds: 5", 4 * 2 * 2),
        ("ber: [1.0e-3, 1.0e-2]", "ber: [1.0e-3, 3.0e-3, 1.0e-2]", 4 * 3),
        ("[none, range_clamp]", "[none, range_clamp, parity]", 2 * 7),
        ("[fp32, q2_5]", "[fp32, q2_5, fp16]", 2 * 7),
        ("models: digits_cnn", "models: [digits_cnn, {digits_cnn: {}, name: twin}]", 4 * 7),
    ],
)
def test_growing_an_axis_runs_only_the_new_points(campaign, ear, old, new, more) -> None:
    campaign.run()
    before = rows(campaign)
    campaign.edit(old, new)
    result = campaign.run(ear=ear)
    assert (result.ran, result.total, result.ok) == (more, TRIALS + more, TRIALS + more)
    after = rows(campaign)
    assert {key: after[key] for key in before} == before


def test_a_smaller_grid_keeps_the_other_rows_and_says_so(campaign) -> None:
    campaign.run()
    campaign.edit("seeds: 3", "seeds: 2")
    result = campaign.run()
    assert (result.ran, result.total, result.ok) == (0, 20, 20)
    assert len(rows(campaign)) == TRIALS
    assert status_of(campaign.results).others == 8


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("{subset: 100}", "{subset: 90}", "subset: the results have 100, the spec asks for 90"),
        (
            "output:",
            "targets: {biases: true}\noutput:",
            'targets: the results have the default, the spec asks for {"kinds": ["weights", "bi',
        ),
        (
            "dataset: digits",
            "dataset: {digits: {}, name: numbers}",
            "dataset: the results have digits, the spec asks for numbers",
        ),
    ],
)
def test_a_change_of_meaning_is_refused_with_a_diff_and_changes_nothing(
    campaign, old, new, line
) -> None:
    campaign.run()
    before = {p: p.read_bytes() for p in campaign.results.rglob("*.json")}
    campaign.edit(old, new)
    with pytest.raises(DriftError, match="nothing was run or changed") as refused:
        campaign.run()
    assert line in str(refused.value)
    assert refused.value.exit_code == 5
    assert {p: p.read_bytes() for p in campaign.results.rglob("*.json")} == before
    assert len(rows(campaign)) == TRIALS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{subset: 100}", "{subset: 100, batch_size: 10}"),
        ("{executor: inline}", "{executor: inline, mode: reference}"),
        ("{executor: inline}", "{executor: inline, cpus_per_worker: 2, batch_seconds: 9}"),
        ("name: small", "name: small\ndescription: another text"),
    ],
)
def test_how_a_campaign_is_run_may_change(campaign, old, new) -> None:
    campaign.run()
    campaign.edit(old, new)
    assert campaign.run().ran == 0


def test_a_second_driver_is_refused_in_a_line(campaign) -> None:
    campaign.results.mkdir(parents=True)
    store = ParquetStore(campaign.results)
    try:
        with pytest.raises(LockedError) as refused:
            campaign.run()
    finally:
        store.close()
    assert refused.value.exit_code == 7
    assert "\n" not in str(refused.value)
    assert campaign.run().exit_code == 0


def test_failed_trials_are_rows_and_run_again(campaign, monkeypatch) -> None:
    from campaign.trial import worker

    def fail_some(prepared: Prepared, point: Point, *drawn: object) -> Outcome:
        if point.seed == 1:
            raise RuntimeError(f"no luck with {point.ber}")
        return original(prepared, point)

    original = worker.run_trial
    monkeypatch.setattr(worker, "run_trial", fail_some)
    first = campaign.run()
    assert (first.exit_code, first.ok) == (3, TRIALS - 8)
    assert first.failures == {
        ("error", "RuntimeError", "no luck with 0.001"): 4,
        ("error", "RuntimeError", "no luck with 0.01"): 4,
    }
    monkeypatch.setattr(worker, "run_trial", original)
    kept = campaign.run(keep_failed=True)
    assert (kept.ran, kept.exit_code) == (0, 3)
    again = campaign.run()
    assert (again.ran, again.ok, again.exit_code, again.failures) == (8, TRIALS, 0, {})
    assert len(rows(campaign)) == TRIALS


def test_a_setup_that_cannot_be_prepared_fails_alone(campaign) -> None:
    campaign.edit("[none, range_clamp]", "[none, {saf: {function: scaled_tanh, a: 0.001}}]")
    result = campaign.run()
    assert (result.exit_code, result.ok) == (3, TRIALS // 2)
    ((status, kind, message),) = result.failures
    assert (status, kind) == ("error", "ValueError")
    assert "is not below the bound" in message


def test_results_do_not_depend_on_what_else_is_in_the_grid(campaign) -> None:
    campaign.run()
    whole = results_of(campaign)
    campaign.results = campaign.root / "results" / "part"
    campaign.edit("[fp32, q2_5]", "q2_5")
    campaign.edit("seeds: 3", "seeds: [2]")
    campaign.run()
    part = results_of(campaign)
    sampled = {
        key: value for key, value in part.items() if not key.split("-", 1)[1].startswith("0.0-")
    }
    assert len(sampled) == 4
    assert all(whole[key] == value for key, value in sampled.items())


def test_what_lies_beside_the_rows_says_where_they_come_from(campaign) -> None:
    campaign.run()
    campaign.run()
    assert (campaign.results / "spec.yaml").read_text() == campaign.path.read_text()
    sessions = json.loads((campaign.results / "provenance.json").read_text())["sessions"]
    assert [session["trials"] for session in sessions] == [TRIALS, 0]
    assert set(sessions[0]["packages"]) >= {"torch", "numpy", "ray"}
    assert len(sessions[0]["digests"]["dataset"]) == 64
    assert len(sessions[0]["digests"]["models"]["digits_cnn"]) == 64
    assert all(session["code_version"] and session["host"] for session in sessions)
    assert sessions[0]["workers"] == [{"host": sessions[0]["host"], "device": "cpu"}]


def test_status_counts_trials_and_shows_curves(campaign) -> None:
    campaign.edit("seeds: 3", "seeds: 1")
    campaign.run()
    campaign.edit("seeds: 1", "seeds: 3")
    loaded = load(campaign.path)
    (campaign.results / "spec.resolved.json").write_text(json.dumps(loaded.resolved()))
    status = status_of(campaign.results)
    assert (status.total, status.ok, status.failed, status.running) == (TRIALS, 12, 0, False)
    (first, *_) = status.setups
    assert [ber for ber, _ in first.accuracies] == [0.0, 1e-3, 1e-2]
    assert first.accuracies[0][1] > 0.9


def test_the_plan_knows_what_is_done_and_measured(campaign) -> None:
    loaded = load(campaign.path)
    fresh = plan_with_history(loaded.spec, campaign.results)
    assert (fresh.trials, fresh.done, fresh.measured) == (TRIALS, 0, False)
    campaign.run()
    known = plan_with_history(loaded.spec, campaign.results)
    assert (known.done, known.measured) == (TRIALS, True)
    assert known.seconds is not None
    assert known.seconds > 0


def test_expected_flips_of_the_plan_are_those_of_the_rows(campaign) -> None:
    campaign.run()
    spec = load(campaign.path).spec
    for plan in plan_with_history(spec, campaign.results).setups:
        mine = [r for r in rows(campaign).values() if r["dtype"] == plan.setup.dtype.label]
        assert {row["stored_bits"] for row in mine} == {plan.bits}
        assert plan.expected_flips() == [(b, b * plan.bits) for b in (1e-3, 1e-2)]


def test_a_replayed_trial_is_the_same(campaign) -> None:
    campaign.run()
    trial_id = next(key for key, row in rows(campaign).items() if row["ber"] == 1e-2)
    assert folder_of_trial(campaign.results.parent, trial_id) == campaign.results
    again = replay(campaign.results, trial_id)
    assert again.differing == ()
    assert again.new["flips_digest"] == again.held["flips_digest"]
    assert again.new["flipped_bits"] > 0


def test_a_replay_notices_a_row_that_was_changed(campaign, monkeypatch) -> None:
    campaign.run()
    trial_id = next(iter(rows(campaign)))
    table = read_results(campaign.results)
    held = [{**row, "n_correct": row["n_correct"] - 1} for row in table.to_pylist()]
    changed = table.from_pylist(held, schema=table.schema)
    monkeypatch.setattr("campaign.engines.stores.reader.read_results", lambda _: changed)
    assert replay(campaign.results, trial_id).differing == ("n_correct",)


@pytest.mark.parametrize(
    ("trial_id", "message"), [("zzz", "no such trial"), ("", "trials begin so")]
)
def test_a_trial_that_is_not_there_is_said_in_a_line(campaign, trial_id, message) -> None:
    campaign.run()
    with pytest.raises(SpecError, match=message):
        replay(campaign.results, trial_id)


def test_a_missing_results_folder_is_said_in_a_line(campaign) -> None:
    with pytest.raises(SetupError, match="results"):
        status_of(campaign.results)


def test_clean_rows_have_no_flips_and_all_masked(campaign) -> None:
    campaign.run()
    clean = [row for row in rows(campaign).values() if row["ber"] == 0]
    assert len(clean) == 4
    assert all(row["flipped_bits"] == 0 and row["n_masked"] == 100 for row in clean)


def test_counts_add_up_in_every_row(campaign) -> None:
    campaign.run()
    for row in rows(campaign).values():
        outcomes = (row["n_masked"], row["n_benign"], row["n_sdc"], row["n_nonfinite"])
        assert sum(outcomes) == row["n_samples"]
        assert row["n_correct"] <= row["n_correct_top5"] <= row["n_samples"]
        expected = row["ber"] * row["exposed_bits"]
        assert abs(row["flipped_bits"] - expected) <= 6 * math.sqrt(expected) + 1e-9


def test_a_run_of_a_spec_with_an_axis_less_than_the_store_keeps_its_lock(campaign) -> None:
    campaign.run()
    campaign.edit("models: digits_cnn", "models: {digits_cnn: {}, name: twin}")
    campaign.run()
    held = json.loads((campaign.results / "lock.json").read_text())
    assert set(held["identity"]["models"]) == {"digits_cnn", "twin"}


def test_a_setup_is_called_the_same_before_and_after_it_ran(campaign) -> None:
    campaign.edit("seeds: 3", "seeds: 1\n  nonfinite: [propagate, zero]")
    campaign.edit("output:", "targets: {biases: true, exempt_bits: msb}\noutput:")
    campaign.run()
    planned = {p.setup.label for p in plan_with_history(load(campaign.path).spec, None).setups}
    assert planned == {curve_key(row) for row in rows(campaign).values()}
    assert len(planned) == 8


def test_rows_without_their_lock_are_not_mixed_with_another_meaning(campaign) -> None:
    campaign.run()
    (campaign.results / "lock.json").unlink()
    campaign.edit("{subset: 100}", "{subset: 90}")
    with pytest.raises(DriftError, match=r"lock\.json is missing"):
        campaign.run()
    campaign.edit("{subset: 90}", "{subset: 100}")
    assert campaign.run().exit_code == 0


def test_a_report_that_was_never_made_is_made_by_the_next_run(campaign, ear) -> None:
    campaign.edit("report: false", "report: true")
    campaign.run()
    first = (campaign.results / "tables" / "points.csv").read_text()
    campaign.edit("seeds: 3", "seeds: 4")
    campaign.run(report=False)
    assert (campaign.results / "tables" / "points.csv").read_text() == first
    made = campaign.run(ear=ear)
    assert made.ran == 0
    assert "making tables and figures" in ear.notes
    assert (campaign.results / "tables" / "points.csv").read_text() != first
    ear.notes.clear()
    again = campaign.run(ear=ear)
    assert again.written == made.written
    assert "making tables and figures" not in ear.notes


def test_a_report_that_cannot_be_written_costs_no_result(campaign, ear) -> None:
    campaign.edit("report: false", "report: true")
    (campaign.results).mkdir(parents=True)
    (campaign.results / "tables").write_text("in the way")
    result = campaign.run(ear=ear)
    assert (result.exit_code, result.ok) == (0, TRIALS)
    assert any("no report" in note for note in ear.notes)


def test_a_limited_run_ends_with_code_4_and_is_gone_on_with(campaign) -> None:
    first = campaign.run(limit=10)
    assert (first.ran, first.ok, first.exit_code) == (10, 10, 4)
    second = campaign.run()
    assert (second.ran, second.exit_code) == (TRIALS - 10, 0)


def test_fault_free_trials_do_not_depend_on_the_seeds(campaign) -> None:
    campaign.run()
    campaign.edit("seeds: 3", "seeds: {start: 100, count: 3}")
    assert campaign.run().ran == TRIALS - 4


def test_a_setup_that_reads_nothing_but_zeros_is_refused(campaign) -> None:
    campaign.edit("[none, range_clamp]", "[none, weight_scaling]\n  t: 1.0e-60")
    result = campaign.run()
    assert result.exit_code == 3
    assert all("every weight reads as 0" in message for _, _, message in result.failures)


def test_planned_flips_leave_exempt_bits_out_and_count_check_bits(campaign) -> None:
    campaign.edit("[none, range_clamp]", "[none, parity]")
    campaign.edit("output:", "targets: {exempt_bits: [msb, 0]}\noutput:")
    campaign.run()
    for plan in plan_with_history(load(campaign.path).spec, campaign.results).setups:
        mine = [r for r in rows(campaign).values() if curve_key(r) == plan.setup.label]
        assert {row["exposed_bits"] for row in mine} == {plan.bits}

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from campaign.engines.executors.inline import InlineExecutor
from campaign.errors import SetupError
from campaign.records import TrialRecord


def run(kit: Any, work: Any, tasks: list[Any]) -> list[TrialRecord]:
    return [row for rows in InlineExecutor().run(tasks, work, kit.assets) for row in rows]


def test_every_point_gives_its_row_in_order(kit: Any) -> None:
    tasks = [kit.make_task("a", 70), kit.make_task("b", 3)]
    rows = run(kit, kit.work(), tasks)
    assert [row.trial_id for row in rows] == [p.trial_id for task in tasks for p in task.points]
    assert all(row.n_correct == kit.expected_correct(row.trial_id) for row in rows)


def test_a_worker_that_raises_costs_one_trial(kit: Any) -> None:
    rows = run(kit, kit.work(script={"a-5": "raise"}), [kit.make_task("a", 20)])
    failed = {row.trial_id: row for row in rows if row.status != "ok"}
    assert len(rows) == len({row.trial_id for row in rows}) == 20
    assert list(failed) == ["a-5"]
    assert (failed["a-5"].error_type, failed["a-5"].error) == ("ValueError", "a-5 is broken")


def test_stop_ends_after_the_current_trial_and_what_is_finished_comes(kit: Any) -> None:
    executor, rows = InlineExecutor(), list[TrialRecord]()
    tasks = [kit.make_task("a", 5), kit.make_task("b", 5)]
    for found in executor.run(tasks, kit.work(trial_seconds=0.51), kit.assets):
        rows += found
        if len(rows) == 2:
            executor.stop()
    assert [row.trial_id for row in rows] == ["a-0", "a-1"]


def test_a_worker_that_cannot_be_opened_is_a_setup_error(kit: Any) -> None:
    with pytest.raises(SetupError, match="ValueError: no such file"):
        run(kit, kit.work(open_error="no such file"), [kit.make_task("a", 1)])


def test_status_counts_what_is_left(kit: Any) -> None:
    executor = InlineExecutor()
    for _ in executor.run([kit.make_task("a", 100)], kit.work(), kit.assets):
        status = executor.status()
        break
    assert status["queued"] + status["in_flight"] == 100 - 64
    assert (status["workers"], status["busy"], status["restarts"]) == (1, 1, 0)


def test_what_is_added_while_rows_are_read_runs_too_and_first_in_its_own_setup(kit: Any) -> None:
    executor, rows = InlineExecutor(), list[TrialRecord]()
    more = kit.make_task("a", 6)
    tasks = [replace(more, points=more.points[:2]), kit.make_task("b", 2)]
    for found in executor.run(tasks, kit.work(), kit.assets):
        rows += found
        if len(rows) == 2:
            executor.add([replace(more, points=more.points[2:])])
    assert [row.trial_id for row in rows] == [*(f"a-{n}" for n in range(6)), "b-0", "b-1"]
    assert executor.status()["queued"] == 0

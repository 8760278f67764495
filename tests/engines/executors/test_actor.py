from __future__ import annotations

from typing import Any

import pytest

from campaign.engines.executors.actor import ANSWERS_SECONDS, TrialActor
from campaign.engines.executors.base import LostAssetError


def opened(kit: Any, **options: Any) -> TrialActor:
    actor = TrialActor(
        kit.work(**options), {"numbers": "reference"}, lambda *_: kit.assets["numbers"]
    )
    actor.open()
    return actor


def test_a_batch_gives_the_rows_of_its_points(kit: Any) -> None:
    task = kit.make_task("a", 10)
    rows = [r for rows in opened(kit).run(task.setup, task.points, 2, 60.0) for r in rows]
    assert [row.n_correct for row in rows] == [kit.expected_correct(f"a-{n}") for n in range(10)]
    assert {row.attempt for row in rows} == {2}


def test_a_batch_ends_when_its_time_is_used_up_not_counting_the_first_trial(kit: Any) -> None:
    task = kit.make_task("a", 100)
    actor = opened(kit, trial_seconds=0.02, prepare_seconds=0.3)
    rows = [r for rows in actor.run(task.setup, task.points, 1, 0.1) for r in rows]
    assert 2 <= len(rows) <= 7


def test_stop_ends_the_running_batch_and_those_that_wait(kit: Any) -> None:
    task, actor = kit.make_task("a", 100), opened(kit)
    running = actor.run(task.setup, task.points, 1, 60.0)
    assert len(next(running)) == 64
    actor.stop()
    assert list(running) == []
    assert list(actor.run(task.setup, task.points, 1, 60.0)) == []


def test_a_batch_before_opening_is_refused(kit: Any) -> None:
    task = kit.make_task("a", 1)
    with pytest.raises(RuntimeError, match="call open first"):
        list(TrialActor(kit.work(), {}, str).run(task.setup, task.points, 1, 1.0))


def test_only_what_another_worker_answered_is_waited_for_no_longer_than_a_while(kit: Any) -> None:
    task, asked = kit.make_task("a", 1), list[tuple[object, float | None]]()

    def fetch(reference: object, seconds: float | None) -> object:
        asked.append((reference, seconds))
        if reference == "hangs":
            raise LostAssetError("GetTimeoutError")
        return kit.assets["numbers"]

    actor = TrialActor(kit.work(hands_on=True), {"numbers": "reference"}, fetch)
    actor.open()
    late = {task.setup.answers_asset: "hangs"}
    (rows,) = actor.run(task.setup, task.points, 1, 60.0, late)
    assert [row.dataset for row in rows] == ["own"]
    assert asked == [("hangs", ANSWERS_SECONDS), ("reference", None)]

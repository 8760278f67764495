from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from campaign.engines.executors.base import LostAssetError
from campaign.engines.executors.inline import InlineExecutor
from campaign.engines.executors.ray import RayExecutor, _fetch
from campaign.errors import SetupError
from campaign.records import TrialRecord

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def local_cluster(teach_workers: Callable[[], None]) -> Iterator[None]:
    """One cluster of two CPUs, which the executors of all tests here join."""
    executor = RayExecutor(address="local", workers=2)
    executor.start()
    teach_workers()
    yield
    executor.close()


def make(**options: Any) -> RayExecutor:
    return RayExecutor(**{"address": "local", "workers": 2, **options})


def run(kit: Any, work: Any, tasks: list[Any], executor: RayExecutor) -> list[TrialRecord]:
    return [row for rows in executor.run(tasks, work, kit.assets) for row in rows]


def answers(rows: list[TrialRecord]) -> dict[str, tuple[str, int | None]]:
    return {row.trial_id: (row.status, row.n_correct) for row in rows}


def test_rows_are_those_of_the_inline_executor_whatever_the_number_of_workers(kit: Any) -> None:
    tasks = [kit.make_task("a", 150), kit.make_task("b", 1), kit.make_task("c", 40)]
    inline = [row for rows in InlineExecutor().run(tasks, kit.work(), kit.assets) for row in rows]
    for workers in (1, 2):
        rows = run(kit, kit.work(), tasks, make(workers=workers))
        assert Counter(row.trial_id for row in rows) == Counter(row.trial_id for row in inline)
        assert answers(rows) == answers(inline)
        assert {row.compute for row in rows} == {"threads=1"}


def test_a_killed_worker_is_replaced_and_no_trial_is_lost(kit: Any) -> None:
    script = {"a-30": "kill-once", "b-7": "exit-once"}
    executor = make(workers=1)
    tasks = [kit.make_task("a", 60), kit.make_task("b", 60)]
    rows = run(kit, kit.work(script=script), tasks, executor)
    assert Counter(row.trial_id for row in rows) == Counter(
        p.trial_id for t in tasks for p in t.points
    )
    assert {row.status for row in rows} == {"ok"}
    assert {row.attempt for row in rows if row.trial_id in script} == {2}
    assert executor.status()["restarts"] == 2


@pytest.mark.slow
def test_one_poisonous_trial_among_200_costs_only_itself(kit: Any) -> None:
    executor = make()
    rows = run(kit, kit.work(script={"a-77": "kill"}), [kit.make_task("a", 200)], executor)
    assert Counter(row.status for row in rows) == {"ok": 199, "crashed": 1}
    assert len({row.trial_id for row in rows}) == 200
    crashed = next(row for row in rows if row.status == "crashed")
    assert (crashed.trial_id, crashed.attempt) == ("a-77", 3)
    assert executor.status()["restarts"] == 3


def test_a_worker_that_raises_costs_the_trial_and_no_process(kit: Any) -> None:
    executor = make(workers=1)
    script = {"a-5": "raise", "a-9": "raise-odd"}
    rows = run(kit, kit.work(script=script), [kit.make_task("a", 50)], executor)
    failed = [(row.trial_id, row.error_type, row.error) for row in rows if row.status != "ok"]
    assert sorted(failed) == [
        ("a-5", "ValueError", "a-5 is broken"),
        ("a-9", "OddError", "a-9 cannot travel"),
    ]
    assert len(rows) == 50
    assert executor.status()["restarts"] == 0


@pytest.mark.slow
def test_a_worker_that_hangs_or_is_deaf_is_replaced(kit: Any) -> None:
    script = {"a-20": "hang-once", "b-0": "freeze-once"}
    executor = make(patience_seconds=1.0)
    tasks = [kit.make_task("a", 40), kit.make_task("b", 40)]
    rows = run(kit, kit.work(script=script), tasks, executor)
    assert Counter(row.status for row in rows) == {"ok": 80}
    assert executor.status()["restarts"] == 2


def test_stop_ends_soon_with_what_is_finished(kit: Any) -> None:
    executor, rows = make(), list[TrialRecord]()
    stopped_at = 0.0
    work = kit.work(trial_seconds=0.1)
    for found in executor.run([kit.make_task("a", 1000)], work, kit.assets):
        rows += found
        if len(rows) >= 10 and not stopped_at:
            stopped_at = time.monotonic()
            executor.stop()
    assert time.monotonic() - stopped_at < 2.0
    assert 10 <= len({row.trial_id for row in rows}) == len(rows) < 100
    assert {row.status for row in rows} == {"ok"}


@pytest.mark.slow
def test_a_worker_that_cannot_be_opened_is_a_setup_error(kit: Any) -> None:
    with pytest.raises(SetupError, match="no Ray worker can run trials: ValueError: no such file"):
        run(kit, kit.work(open_error="no such file"), [kit.make_task("a", 5)], make(workers=1))


@pytest.mark.slow
def test_a_worker_that_dies_while_it_opens_is_replaced(kit: Any) -> None:
    rows = run(kit, kit.work(open_error="once"), [kit.make_task("a", 5)], make(workers=1))
    assert Counter(row.status for row in rows) == {"ok": 5}


@pytest.mark.slow
def test_a_worker_that_is_deaf_while_it_opens_is_replaced(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campaign.engines.executors.pool.PING_SECONDS", 5.0)
    executor = make(workers=1, patience_seconds=1.0)
    rows = run(kit, kit.work(open_error="freeze"), [kit.make_task("a", 5)], executor)
    assert Counter(row.status for row in rows) == {"ok": 5}
    assert executor.status()["restarts"] == 1


def test_workers_that_the_cluster_cannot_hold_are_a_setup_error(kit: Any) -> None:
    with pytest.raises(SetupError, match=r"99 CPUs and 0 GPUs; all of it has \d+ CPUs"):
        run(kit, kit.work(), [kit.make_task("a", 5)], make(cpus_per_worker=99, workers="auto"))


@pytest.mark.slow
def test_abandoning_the_rows_frees_the_workers_for_the_next_run(kit: Any) -> None:
    work = kit.work(trial_seconds=0.05)
    rows = make(cpus_per_worker=2, workers=1).run([kit.make_task("a", 1000)], work, kit.assets)
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    assert len(run(kit, kit.work(), [kit.make_task("b", 20)], make(workers=1))) == 20


def test_nothing_to_run_starts_no_worker(kit: Any) -> None:
    executor = make()
    assert run(kit, kit.work(), [], executor) == []
    assert executor.status()["workers"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["", "kill-once", "raise"])
def test_a_setup_is_handed_on_and_prepared_anew_where_that_fails(
    fault: str, kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campaign.engines.executors.lease.HANDED_SECONDS", 0.5)
    script = {"share": fault, "long-3": "await-mark", "short-4": "mark"}
    work = kit.work(trial_seconds=0.02, prepare_seconds=1.0, hands_on=True, script=script)
    tasks = [kit.make_task("long", 400), kit.make_task("short", 5)]
    rows = run(kit, work, tasks, make(batch_seconds=0.5))
    inline = [row for found in InlineExecutor().run(tasks, kit.work(), kit.assets) for row in found]
    assert answers(rows) == answers(inline)
    assert len(rows) == 405
    joined = {row.host for row in rows if row.dataset == "handed on"}
    if fault == "kill-once":  # the one that took its place may be handed what the other found
        assert (tmp_path / "share").exists()
    else:
        assert len(joined) == (0 if fault else 1)
    assert {row.trial_id.split("-")[0] for row in rows if row.dataset == "handed on"} <= {"long"}


def test_a_value_that_does_not_come_is_lost_after_a_while() -> None:
    import ray

    never = ray.remote(num_cpus=0)(lambda: time.sleep(600)).remote()
    begun = time.monotonic()
    with pytest.raises(LostAssetError, match="GetTimeoutError"):
        _fetch(never, 0.2)
    assert time.monotonic() - begun < 10
    ray.cancel(never, force=True)

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from campaign.engines.executors.lease import MOST_POINTS, Lease, LeaseQueue


def queue_of(*tasks: Any, batch_seconds: float = 3.0, max_attempts: int = 3) -> LeaseQueue:
    return LeaseQueue(tasks, batch_seconds=batch_seconds, max_attempts=max_attempts)


def take(queue: LeaseQueue, worker: int = 1, *, workers: int = 1, idle: bool = True) -> Lease:
    lease = queue.take(worker, workers=workers, idle=idle)
    assert lease is not None
    return lease


def finish(kit: Any, queue: LeaseQueue, lease: Lease, seconds: float) -> None:
    points = list(lease.pending.values())
    rows = [kit.make_record(lease.setup, point, seconds=seconds) for point in points]
    assert queue.receive(lease, rows) == rows


def test_the_first_batch_of_a_setup_is_small_and_the_next_ones_fill_the_batch_time(
    kit: Any,
) -> None:
    queue = queue_of(kit.make_task("a", 10_000), batch_seconds=3.0)
    first = take(queue)
    assert len(first.pending) == 2
    finish(kit, queue, first, seconds=0.02)
    assert len(take(queue).pending) == 150


def test_the_time_to_prepare_a_setup_does_not_shrink_its_batches(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 10_000))
    lease = take(queue)
    slow, quick = lease.pending.values()
    assert queue.slowest_seconds(lease) is None
    queue.receive(lease, [kit.make_record(lease.setup, slow, seconds=60.0)])
    assert queue.slowest_seconds(lease) == 60.0
    queue.receive(lease, [kit.make_record(lease.setup, quick, seconds=0.02)])
    following = take(queue)
    assert len(following.pending) == 150
    assert queue.slowest_seconds(following) == 0.02
    assert queue.slowest_seconds(take(queue, 2, workers=2)) == 60.0


def test_trials_longer_than_a_batch_are_leased_one_by_one(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 1000))
    finish(kit, queue, take(queue), seconds=60.0)
    assert len(take(queue).pending) == 1


def test_no_batch_is_larger_than_the_cap(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 100_000))
    finish(kit, queue, take(queue), seconds=0.0)
    assert len(take(queue).pending) == MOST_POINTS


def test_the_last_batches_are_shared_among_all_workers(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 102))
    finish(kit, queue, take(queue), seconds=0.001)
    assert len(take(queue, workers=5).pending) == 10  # ceil(100 / (2 * 5))


def test_a_worker_stays_with_its_setup_and_only_its_first_batch_prepares(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 8), kit.make_task("b", 8))
    leases = [take(queue, 1), take(queue, 2), take(queue, 1), take(queue, 2)]
    assert [lease.setup.setup_id for lease in leases] == ["a", "b", "a", "b"]
    assert [lease.prepares for lease in leases] == [True, True, False, False]


def test_a_worker_that_runs_out_prefers_a_setup_that_nobody_holds(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 2), kit.make_task("b", 50), kit.make_task("c", 2))
    take(queue, 1)
    take(queue, 2)
    assert take(queue, 1).setup.setup_id == "c"


def test_a_worker_joins_where_most_work_waits(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 20), kit.make_task("b", 50), kit.make_task("c", 2))
    for worker, seconds in ((1, 0.1), (2, 0.01), (3, 0.1)):  # a: 1.8 s wait, b: 0.48 s, c: none
        lease = take(queue, worker, workers=3)
        rows = [kit.make_record(lease.setup, p, seconds=seconds) for p in lease.pending.values()]
        queue.receive(lease, rows)
    lease = take(queue, 3, workers=3)
    assert lease.setup.setup_id == "a"
    assert lease.prepares


def test_no_worker_joins_a_setup_that_takes_longer_to_prepare_than_to_finish(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 20))
    lease = take(queue, 1)
    slow, quick = lease.pending.values()
    queue.receive(lease, [kit.make_record(lease.setup, slow, seconds=30.0)])
    queue.receive(lease, [kit.make_record(lease.setup, quick, seconds=0.1)])
    assert queue.take(2, workers=2, idle=True) is None
    queue.leave(1)
    assert take(queue, 2, workers=2).setup.setup_id == "a"


def test_rows_that_come_twice_or_belong_elsewhere_are_dropped(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 2))
    lease = take(queue)
    row = kit.make_record(lease.setup, lease.pending["a-0"])
    stray = kit.make_record(lease.setup, kit.make_task("a", 9).points[8])
    assert queue.receive(lease, [row, row, stray]) == [row]
    assert list(lease.pending) == ["a-1"]


def test_what_was_not_begun_comes_again_first_and_as_the_first_attempt(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 10))
    queue.give_back(take(queue))
    again = take(queue, 2)
    assert (list(again.pending), again.attempt) == (["a-0", "a-1"], 1)
    assert queue.retried == 0


def test_after_a_death_each_pending_trial_runs_alone_on_an_idle_worker(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 4))
    assert queue.lost(take(queue)) == []
    busy = take(queue, 2, idle=False)
    assert list(busy.pending) == ["a-2", "a-3"]
    alone = [take(queue, 3), take(queue, 3)]
    assert [(list(x.pending), x.alone, x.attempt) for x in alone] == [
        (["a-0"], True, 2),
        (["a-1"], True, 2),
    ]
    assert queue.retried == 2


@pytest.mark.parametrize("max_attempts", [1, 2, 3, 5])
def test_only_a_trial_that_dies_alone_is_given_up(kit: Any, max_attempts: int) -> None:
    queue = queue_of(kit.make_task("a", 40), max_attempts=max_attempts)
    deaths, given_up, done = 0, list[Any](), Counter[str]()
    while (lease := queue.take(1, workers=1, idle=True)) is not None:
        if "a-17" not in lease.pending:
            done.update(list(lease.pending))
            finish(kit, queue, lease, seconds=0.01)
            continue
        deaths += 1
        queue.leave(1)
        given_up += queue.lost(lease)
    assert [(x.point.trial_id, x.attempt) for x in given_up] == [("a-17", max(2, max_attempts))]
    assert deaths == max(2, max_attempts)
    assert done == Counter(f"a-{seed}" for seed in range(40) if seed != 17)


def test_dropping_the_first_trial_of_a_batch_puts_the_others_back(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 2))
    assert queue.drop_first(take(queue)).trial_id == "a-0"
    assert list(take(queue).pending) == ["a-1"]
    assert queue.queued == 0


def test_the_queue_counts_what_no_worker_holds(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 10), kit.make_task("b", 5))
    assert queue.queued == 15
    lease = take(queue)
    assert queue.queued == 13
    queue.lost(lease)
    assert queue.queued == 15


def test_points_that_are_added_stand_behind_those_of_their_setup(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 1))
    first = take(queue)
    assert queue.take(1, workers=1, idle=False) is None
    queue.add([kit.make_task("b", 3), kit.make_task("a", 4)])
    assert queue.queued == 7
    finish(kit, queue, first, seconds=0.01)
    again = take(queue)
    assert not again.prepares
    assert {point.split("-")[0] for point in again.pending} == {"a"}


def prepared(queue: LeaseQueue, kit: Any, worker: int, seconds: float, *, handed: bool) -> Any:
    """A lease whose first row, after so many seconds, is in, and the next after one."""
    lease = queue.take(worker, workers=2, idle=True)
    assert lease is not None
    lease.handed = handed
    for spent, point in zip((seconds, 1.0), list(lease.pending.values()), strict=False):
        queue.receive(lease, [kit.make_record(lease.setup, point, seconds=spent)])
    return lease


def test_a_setup_that_was_slow_to_prepare_is_handed_on_by_who_has_it(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 1000))
    first = prepared(queue, kit, 1, 30.0, handed=False)
    second = queue.take(2, workers=2, idle=True)
    assert second is not None
    assert (queue.prepared_by(second), queue.prepared_by(first)) == ([1], [])
    assert queue.waits("a")
    queue.leave(1)
    assert queue.prepared_by(second) == []


def test_a_setup_that_is_quick_to_prepare_is_not_handed_on(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 1000))
    prepared(queue, kit, 1, 1.5, handed=False)
    second = queue.take(2, workers=2, idle=True)
    assert second is not None
    assert queue.prepared_by(second) == []


@pytest.mark.parametrize("handed", [False, True])
def test_a_worker_joins_for_less_work_once_taking_over_is_known_to_be_quick(
    handed: bool, kit: Any
) -> None:
    queue = queue_of(kit.make_task("a", 200))
    prepared(queue, kit, 1, 30.0, handed=False)
    prepared(queue, kit, 2, 0.5, handed=handed)
    while queue.queued > 60:
        lease = queue.take(1, workers=2, idle=True)
        assert lease is not None
        queue.receive(
            lease, [kit.make_record(lease.setup, p, seconds=1.0) for p in lease.pending.values()]
        )
    # 60 s of work among three are 20 s for the third: less than 30 s of preparing.
    assert (queue.take(3, workers=3, idle=True) is not None) == handed


def test_a_worker_that_took_up_another_setup_hands_none_on(kit: Any) -> None:
    queue = queue_of(kit.make_task("a", 2), kit.make_task("b", 2))
    lease = take(queue)
    other = take(queue, idle=False)  # it waits behind the first one
    assert (lease.setup.setup_id, other.setup.setup_id) == ("a", "b")
    finish(kit, queue, lease, seconds=60.0)
    queue.add([kit.make_task("a", 4)])
    first = take(queue, 2, workers=3)
    finish(kit, queue, first, seconds=60.0)
    assert queue.prepared_by(take(queue, 3, workers=3)) == [2]

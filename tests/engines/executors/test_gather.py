from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from campaign.engines.executors.gather import MOST_ROWS, gather
from campaign.records import TrialRecord


def records(kit: Any, count: int, seconds: float = 0.0, **measured: Any) -> Iterator[TrialRecord]:
    task = kit.make_task("s", count)
    for point in task.points:
        time.sleep(seconds)
        yield kit.make_record(task.setup, point, **measured)


def never() -> bool:
    return False


def test_quick_rows_leave_together_and_in_order(kit: Any) -> None:
    lists = list(gather(records(kit, 2 * MOST_ROWS + 3), never))
    assert [len(rows) for rows in lists] == [MOST_ROWS, MOST_ROWS, 3]
    assert [row.seed for rows in lists for row in rows] == list(range(2 * MOST_ROWS + 3))


def test_slow_rows_leave_one_by_one(kit: Any) -> None:
    assert [len(rows) for rows in gather(records(kit, 2, seconds=0.55), never)] == [1, 1]


def test_no_row_is_held_back_much_longer_than_a_second(kit: Any) -> None:
    begun = time.monotonic()
    next(gather(records(kit, 60, seconds=0.1), never))
    assert time.monotonic() - begun < 1.5


def test_failed_rows_leave_at_once(kit: Any) -> None:
    assert [len(rows) for rows in gather(records(kit, 3, status="error"), never)] == [1, 1, 1]


def test_no_trial_begins_after_a_stop(kit: Any) -> None:
    begun: list[int] = []

    def counted() -> Iterator[TrialRecord]:
        for record in records(kit, 10):
            begun.append(record.seed)
            yield record

    rows = [row for rows in gather(counted(), lambda: len(begun) == 4) for row in rows]
    assert begun == [0, 1, 2, 3]
    assert len(rows) == 4


def test_rows_held_back_are_handed_over_before_an_exception(kit: Any) -> None:
    def broken() -> Iterator[TrialRecord]:
        yield from records(kit, 3)
        raise ValueError("broken")

    lists = gather(broken(), never)
    assert len(next(lists)) == 3
    with pytest.raises(ValueError, match="broken"):
        next(lists)

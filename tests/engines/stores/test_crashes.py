"""A writer that dies at any moment loses no row that it acknowledged, and doubles none."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from campaign.engines.stores.parquet import ParquetStore
from campaign.engines.stores.reader import load_results
from campaign.engines.stores.schema import to_records
from campaign.records import TrialRecord

Make = Callable[..., TrialRecord]

STEPS = [
    (step, nth, after)
    for step, nth in [("fsync", 1), ("replace", 1), ("fsync", 2), ("fsync", 3), ("mark", 1)]
    for after in (False, True)
]
"""Sealing: sync the file, rename it, sync the folder, sync the manifest, mark in the journal."""


def assert_holds(table: pa.Table, numbers: Iterable[int], make: Make) -> None:
    """Each trial is there once, with every value it was written with."""
    found = to_records(table)
    by_id = {record.trial_id: record for record in found}
    assert len(by_id) == len(found)
    for number in numbers:
        expected = make(number)
        assert by_id[expected.trial_id] == expected


@pytest.mark.slow
def test_no_acknowledged_row_is_lost_or_doubled_by_kills_at_random_moments(
    writers: Any, make_record: Make
) -> None:
    moments = random.Random(7)
    first = 0
    for turn in range(16):
        writers.start(first, 10**6)
        if turn % 2 == 0:  # else it dies while it opens the folder, or soon after
            writers.wait_for(len(writers.kept()) + moments.randint(1, 80))
        time.sleep(moments.uniform(0.0, 0.05))
        writers.kill()
        assert writers.end() == -signal.SIGKILL
        first = max(writers.kept(), default=-1) + 1
        results = load_results(writers.folder)
        assert results.warnings == []
        assert_holds(results.table, writers.kept(), make_record)

    store = ParquetStore(writers.folder)
    assert store.verify() == store.warnings == store.conflicts() == []
    assert set(store.done()) >= {make_record(n).trial_id for n in writers.kept()}
    assert_holds(store.read(), writers.kept(), make_record)
    store.close()
    assert_holds(load_results(writers.folder).table, writers.kept(), make_record)


@pytest.mark.parametrize(("step", "nth", "after"), STEPS)
def test_a_crash_between_two_steps_of_sealing_is_made_good(
    writers: Any, make_record: Make, step: str, nth: int, after: bool
) -> None:
    writers.start(0, 60, seal_rows=25, die=(step, nth, after))
    assert writers.end() == 9
    kept = writers.kept()
    assert 0 < len(kept) < 60
    assert_holds(load_results(writers.folder).table, kept, make_record)

    first = max(kept) + 1
    writers.start(first, 90, seal_rows=25)
    assert writers.end() == 0
    results = load_results(writers.folder)
    assert results.warnings == []
    assert_holds(results.table, range(90), make_record)
    assert len(results.table) == 90
    assert not list(writers.folder.glob("trials/*.tmp-*"))
    parts = writers.folder.glob("trials/*.parquet")
    assert sum(pq.read_metadata(part).num_rows for part in parts) == 90, "a row lies in two parts"


def test_a_full_disk_refuses_rows_with_one_clear_line_and_keeps_the_others(
    writers: Any, make_record: Make
) -> None:
    writers.start(0, 10**6, seal_rows=10**9, file_bytes=1_000_000)
    line = writers.said()
    assert writers.end() == 3
    assert str(writers.folder) in line
    assert "MiB free" in line
    assert "\n" not in line
    kept = writers.kept()
    assert len(kept) > 50
    assert_holds(load_results(writers.folder).table, kept, make_record)
    store = ParquetStore(writers.folder)
    assert len(store.done()) == len(kept)
    store.close()


def test_a_reader_in_another_process_sees_every_acknowledged_row_at_any_time(
    writers: Any, make_record: Make
) -> None:
    writers.start(0, 2500, seal_rows=40)
    writers.wait_for(1)
    looks, seen = 0, 0
    while seen < 2500:
        kept = writers.kept()
        results = load_results(writers.folder)
        assert results.warnings == []
        assert len(results.table) >= max(len(kept), seen)
        ids = results.table["trial_id"]
        assert len(ids.unique()) == len(ids)
        looks, seen = looks + 1, len(results.table)
    assert writers.end() == 0
    assert looks > 2
    assert_holds(load_results(writers.folder).table, range(2500), make_record)

"""The rules that both stores keep, against a dictionary as the oracle."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from campaign.engines.stores.base import ResultStore
from campaign.engines.stores.memory import MemoryStore
from campaign.engines.stores.parquet import ParquetStore
from campaign.engines.stores.reader import load_results
from campaign.engines.stores.schema import to_records
from campaign.records import COLUMNS, TrialRecord

Make = Callable[..., TrialRecord]


@pytest.fixture(params=["memory", "parquet", "parquet sealed"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ResultStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    made = ParquetStore(tmp_path, seal_rows=1 if "sealed" in request.param else 10**6)
    yield made
    made.close()


def test_rows_come_back_as_they_were_kept(store: ResultStore, make_record: Make) -> None:
    records = [make_record(n) for n in range(20)]
    assert store.append(records[:5]) == 5
    assert store.append(records[5:]) == 15
    table = store.read()
    assert table.column_names == list(COLUMNS)
    assert sorted(to_records(table), key=lambda r: r.seed) == records
    assert store.done() == {r.trial_id: "ok" for r in records}


def test_a_row_of_status_ok_is_never_replaced(store: ResultStore, make_record: Make) -> None:
    first = make_record(1)
    store.append([first])
    assert store.append([replace(first, seconds=9.0), replace(first, status="error")]) == 0
    assert to_records(store.read()) == [first]
    assert store.conflicts() == store.warnings == []


def test_a_failed_row_gives_way_to_any_newer_row(store: ResultStore, make_record: Make) -> None:
    rows = [make_record(1, status=s, attempt=a) for a, s in enumerate(["oom", "error", "ok"])]
    for row in rows:
        assert store.append([row]) == 1
        assert to_records(store.read()) == [row]
        assert store.done() == {row.trial_id: row.status}


def test_a_repeated_trial_with_another_result_is_kept_as_a_conflict_and_told_once(
    store: ResultStore, make_record: Make
) -> None:
    first = make_record(1)
    other = replace(first, n_sdc=5, compute="threads=8", seconds=2.0)
    store.append([first])
    assert store.append([other]) == store.append([other]) == 0
    (conflict,) = store.conflicts()
    assert conflict.trial_id == first.trial_id
    assert conflict.differences == {"n_sdc": (1, 5), "compute": (first.compute, "threads=8")}
    (line,) = store.warnings
    assert "n_sdc 1 -> 5" in line
    assert first.trial_id in line
    assert to_records(store.read()) == [first]


def test_results_of_different_devices_are_not_compared(
    store: ResultStore, make_record: Make
) -> None:
    store.append([make_record(1)])
    store.append([make_record(1, n_sdc=5, device="cuda:NVIDIA H200")])
    assert store.conflicts() == store.warnings == []


def test_a_value_that_fits_no_column_refuses_the_whole_batch(
    store: ResultStore, make_record: Make
) -> None:
    with pytest.raises(TypeError, match="does not fit its column"):
        store.append([make_record(1), make_record(2, n_correct="many")])
    assert store.done() == {}
    assert store.append([make_record(1)]) == 1


def test_text_that_is_no_unicode_does_not_stop_a_campaign(
    tmp_path: Path, make_record: Make
) -> None:
    store = ParquetStore(tmp_path)
    store.append([make_record(1, status="error", error="no file caf\udce9 😀")])
    store.seal()
    (record,) = to_records(store.read())
    assert record.error == "no file caf? 😀"
    store.close()


def test_a_numpy_scalar_is_refused_and_its_column_named(tmp_path: Path, make_record: Make) -> None:
    store = ParquetStore(tmp_path)
    record = make_record(1, n_correct=np.int64(3))
    with pytest.raises(TypeError, match=rf"{record.trial_id}.*n_correct"):
        store.append([record])
    store.close()


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_operations_agrees_with_a_dictionary(
    tmp_path: Path, make_record: Make, seed: int
) -> None:
    rng = random.Random(seed)
    folder, copies = tmp_path / "0", iter(range(1, 10**6))
    store = ParquetStore(folder, seal_rows=12)
    oracle: dict[str, TrialRecord] = {}
    for step in range(45):
        action = rng.choice(["append"] * 6 + ["seal", "reopen", "crash", "lose journal"])
        if action == "append":
            for record in (batch := _batch(rng, make_record, step)):
                if oracle.get(record.trial_id) is None or oracle[record.trial_id].status != "ok":
                    oracle[record.trial_id] = record
            store.append(batch)
        elif action == "crash":  # what a reader finds then is a copy of the files at this moment
            crashed = tmp_path / str(next(copies))
            shutil.copytree(folder, crashed)
            store.close()
            folder, store = crashed, ParquetStore(crashed, seal_rows=12)
        elif action == "seal":
            store.seal()
        else:
            store.close()
            if action == "lose journal":
                (folder / "journal.db").unlink()
            store = ParquetStore(folder, seal_rows=12)
        assert store.done() == {key: record.status for key, record in oracle.items()}, action
        assert {r.trial_id: r for r in to_records(load_results(folder).table)} == oracle, action
    assert store.warnings == []
    store.close()


def _batch(rng: random.Random, make_record: Make, step: int) -> list[TrialRecord]:
    numbers = [rng.randrange(60) for _ in range(rng.randint(1, 8))]
    statuses = rng.choices(["ok", "error", "crashed"], [2, 3, 1], k=len(numbers))
    made = [make_record(n, status=s) for n, s in zip(numbers, statuses, strict=True)]
    return [r if r.status == "ok" else replace(r, attempt=step, n_correct=None) for r in made]

"""Compaction: the same rows in fewer files, whatever moment the machine dies at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from campaign.engines.stores import parquet
from campaign.engines.stores.compact import compact_parts
from campaign.engines.stores.journal import Journal
from campaign.engines.stores.parquet import ParquetStore
from campaign.engines.stores.reader import load_results
from campaign.engines.stores.schema import to_records
from campaign.records import TrialRecord

Make = Callable[..., TrialRecord]


def filled(folder: Path, make: Make) -> dict[str, TrialRecord]:
    """Seven parts, in which trials 0 to 4 failed first and then failed again or ended well."""
    expected: dict[str, TrialRecord] = {}
    store = ParquetStore(folder, seal_rows=10**6)
    for turn in range(7):
        batch = [make(n) for n in range(10 * turn, 10 * turn + 10)]
        if turn in (0, 2, 4):
            batch += [make(n, status="error", attempt=turn + 1) for n in range(100, 105)]
        if turn == 5:
            batch += [replace(make(n), attempt=9) for n in (100, 101)]
        assert store.append(batch) == len(batch)
        expected |= {record.trial_id: record for record in batch}
        store.seal()
    store.close()
    return expected


def held(folder: Path) -> dict[str, TrialRecord]:
    table, warnings = load_results(folder)
    assert warnings == []
    return {record.trial_id: record for record in to_records(table)}


def stored_rows(folder: Path) -> int:
    return sum(pq.read_metadata(part).num_rows for part in folder.glob("trials/*.parquet"))


def test_a_compacted_folder_holds_the_same_rows_in_one_part_and_goes_on(
    tmp_path: Path, make_record: Make
) -> None:
    expected = filled(tmp_path, make_record)
    store = ParquetStore(tmp_path)
    assert store.compact() == (7, 1)
    assert store.compact() == (1, 1)
    assert held(tmp_path) == expected
    assert store.append([make_record(100, attempt=12), make_record(200)]) == 1
    assert store.append([make_record(104)]) == 1
    expected |= {r.trial_id: r for r in (make_record(200), make_record(104))}
    assert store.compact() == (2, 1)
    assert store.verify() == store.warnings == []
    assert store.done() == {key: record.status for key, record in expected.items()}
    store.close()
    assert held(tmp_path) == expected
    (tmp_path / "journal.db").unlink()
    again = ParquetStore(tmp_path)
    assert again.done() == {key: record.status for key, record in expected.items()}
    assert again.warnings == []
    again.close()


def test_parts_are_merged_up_to_a_size_and_no_row_that_was_replaced_comes_back(
    tmp_path: Path, make_record: Make
) -> None:
    expected = filled(tmp_path, make_record)
    journal = Journal(tmp_path / "journal.db")
    before, after = compact_parts(journal, tmp_path / "trials", rows=30)
    journal.close()
    assert (before, after) == (7, 4)
    assert held(tmp_path) == expected


def test_a_crash_at_any_step_of_compaction_loses_and_doubles_nothing(
    tmp_path: Path, make_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "live"
    expected = filled(folder, make_record)
    copies: list[Path] = []

    def copied_before(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def copy_and_do(*args: Any, **options: Any) -> Any:
            copies.append(tmp_path / f"{len(copies):02}-{name}")
            shutil.copytree(folder, copies[-1])
            return real(*args, **options)

        monkeypatch.setattr(owner, name, copy_and_do)

    store = ParquetStore(folder)
    for owner, name in ((os, "fsync"), (os, "replace"), (Journal, "replace_parts")):
        copied_before(owner, name)
    copied_before(parquet.recovery, "remove_parts")
    copied_before(Path, "unlink")
    store.compact()
    monkeypatch.undo()
    store.close()
    assert len(copies) >= 4 + 7

    for copy in copies:
        assert held(copy) == expected, copy.name
        for _ in range(2):
            opened = ParquetStore(copy)
            assert opened.done() == {key: r.status for key, r in expected.items()}, copy.name
            assert opened.warnings == opened.conflicts() == opened.verify() == [], copy.name
            opened.close()
        opened = ParquetStore(copy)
        opened.compact()
        opened.close()
        assert held(copy) == expected, copy.name
        assert stored_rows(copy) == len(expected), f"{copy.name}: a row lies in two parts"


def test_a_damaged_compacted_part_is_set_aside_and_its_trials_run_again(
    tmp_path: Path, make_record: Make
) -> None:
    filled(tmp_path, make_record)
    store = ParquetStore(tmp_path)
    store.compact()
    store.append([make_record(300)])
    store.close()
    first = min(tmp_path.glob("trials/*.parquet"), key=lambda path: -path.stat().st_size)
    os.truncate(first, 100)
    opened = ParquetStore(tmp_path)
    assert opened.done() == {make_record(300).trial_id: "ok"}
    assert "it has 100 bytes" in opened.warnings[0]
    opened.close()
    assert list(held(tmp_path)) == [make_record(300).trial_id]


def test_some_columns_are_read_as_they_are_among_all(tmp_path: Path, make_record: Make) -> None:
    filled(tmp_path, make_record)
    store = ParquetStore(tmp_path, seal_rows=10**6)
    store.append([make_record(400)])
    whole = load_results(tmp_path).table
    assert store.read(["seed", "ber"]).equals(whole.select(["seed", "ber"]))
    store.close()

"""Readers take what is there, write nothing, and know rows of any age."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from campaign.engines.stores.parquet import ParquetStore
from campaign.engines.stores.reader import load_results, read_results
from campaign.engines.stores.schema import arrow_schema, row_of, to_table
from campaign.errors import DriftError, SetupError
from campaign.records import TrialRecord

Make = Callable[..., TrialRecord]


def state(folder: Path) -> dict[str, tuple[int, str]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(p): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files
    }


def fill(folder: Path, make_record: Make) -> ParquetStore:
    """A store with ten sealed rows and five in its journal."""
    store = ParquetStore(folder)
    store.append([make_record(n) for n in range(10)])
    store.seal()
    store.append([make_record(n) for n in range(10, 15)])
    return store


@pytest.mark.parametrize("on_this_machine", [True, False])
def test_reading_beside_a_writer_changes_no_file(writers: Any, on_this_machine: bool) -> None:
    writers.start(0, 50, seal_rows=20, stay=True)
    writers.wait_for(50)
    if not on_this_machine:  # as on a shared disk, where its log cannot be read in place
        owner = json.loads((writers.folder / ".lock").read_text())
        (writers.folder / ".lock").write_text(json.dumps(owner | {"host": "elsewhere"}))
    before = state(writers.folder)
    assert len(read_results(writers.folder)) == 50
    assert state(writers.folder) == before
    assert "journal.db-wal" in {Path(name).name for name in before}
    writers.kill()
    writers.end()


def test_reading_after_a_clean_end_changes_no_file(tmp_path: Path, make_record: Make) -> None:
    fill(tmp_path, make_record).close()
    before = state(tmp_path)
    assert len(read_results(tmp_path)) == 15
    assert state(tmp_path) == before
    assert "journal.db-wal" not in {Path(name).name for name in before}


@pytest.mark.parametrize("shared_memory_file", [True, False])
def test_reading_after_a_kill_changes_no_file(
    writers: Any, shared_memory_file: bool, make_record: Make
) -> None:
    writers.start(0, 100, seal_rows=60, die=("fsync", 1, False))
    assert writers.end() == 9
    if not shared_memory_file:  # as in a copy of the folder
        (writers.folder / "journal.db-shm").unlink()
    before = state(writers.folder)
    table, warnings = load_results(writers.folder)
    assert warnings == []
    assert {make_record(n).trial_id for n in writers.kept()} <= set(table["trial_id"].to_pylist())
    assert state(writers.folder) == before


def test_parts_alone_are_a_results_folder(tmp_path: Path, make_record: Make) -> None:
    fill(tmp_path / "run", make_record).close()
    (tmp_path / "reference" / "trials").mkdir(parents=True)
    for part in (tmp_path / "run" / "trials").glob("*.parquet"):
        part.rename(tmp_path / "reference" / "trials" / part.name)
    table, warnings = load_results(tmp_path / "reference")
    assert (len(table), warnings) == (15, [])


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_results_says_what_to_do(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "results"
    if made:
        (folder / "trials").mkdir(parents=True)
    with pytest.raises(SetupError, match=r"no results in .*results: run `campaign run SPEC` first"):
        read_results(folder)


def test_a_campaign_that_has_just_begun_has_no_rows(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    assert load_results(tmp_path) == (arrow_schema().empty_table(), [])
    store.close()


def test_a_file_that_is_passed_over_is_a_python_warning(tmp_path: Path, make_record: Make) -> None:
    fill(tmp_path, make_record).close()
    (tmp_path / "trials" / "part-000007-00000000.parquet").write_text("")
    with pytest.warns(UserWarning, match="part-000007-00000000.parquet is passed over"):
        assert len(read_results(tmp_path)) == 15


def test_a_part_without_a_column_of_today_reads_as_null(tmp_path: Path, make_record: Make) -> None:
    (tmp_path / "trials").mkdir()
    table = to_table([row_of(make_record(n)) for n in range(3)])
    older = table.drop_columns(["n_improved"]).append_column("gone", pa.array([1, 2, 3]))
    pq.write_table(older, tmp_path / "trials" / "part-000001-0123abcd.parquet")
    store = ParquetStore(tmp_path)
    store.append([make_record(3)])
    read = store.read()
    store.close()
    assert read.schema.equals(arrow_schema(), check_metadata=True)
    assert read["n_improved"].to_pylist() == [None, None, None, 3]


def test_a_journal_without_a_column_of_today_reads_as_null_and_gains_it(
    writers: Any, make_record: Make
) -> None:
    writers.start(0, 30, seal_rows=20, die=("fsync", 1, False))
    writers.end()
    with sqlite3.connect(writers.folder / "journal.db") as db:
        db.execute("ALTER TABLE tail DROP COLUMN n_improved")
    db.close()
    kept = len(writers.kept())
    assert load_results(writers.folder).table["n_improved"].null_count >= kept
    store = ParquetStore(writers.folder)
    store.append([make_record(99)])
    assert 99 in store.read()["n_improved"].to_pylist()
    store.close()


def test_rows_of_another_meaning_are_not_mixed(tmp_path: Path, make_record: Make) -> None:
    store = fill(tmp_path, make_record)
    table = store.read().replace_schema_metadata({"campaign.schema_version": "0"})
    store.close()
    pq.write_table(table, tmp_path / "trials" / "part-000008-0123abcd.parquet")
    for open_it in (read_results, ParquetStore):
        with pytest.raises(DriftError, match=r"part-000008.*schema version 0"):
            open_it(tmp_path)


def test_a_journal_of_another_meaning_is_not_mixed(tmp_path: Path, make_record: Make) -> None:
    fill(tmp_path, make_record).close()
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    for open_it in (read_results, ParquetStore):
        with pytest.raises(DriftError, match=r"journal\.db.*schema version 9"):
            open_it(tmp_path)


def test_parts_that_are_older_than_the_columns_of_cost_still_read(
    tmp_path: Path, make_record: Make
) -> None:
    new = ["n_weights", "scale_bits", "constant_bits"]
    new += ["inference_operations", "protection_operations"]
    table = to_table([row_of(make_record(n)) for n in range(3)])
    (tmp_path / "trials").mkdir()
    pq.write_table(table.drop_columns(new), tmp_path / "trials" / "part-000001-old.parquet")
    found = read_results(tmp_path)
    assert found.schema.equals(arrow_schema())
    assert found["trial_id"].to_pylist() == table["trial_id"].to_pylist()
    assert all(found[name].null_count == 3 for name in new)

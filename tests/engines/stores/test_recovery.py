"""A folder that was damaged is opened again, with what is sound and a line for what is not."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from campaign.engines.stores.manifest import MANIFEST, add_lines
from campaign.engines.stores.parquet import ParquetStore
from campaign.engines.stores.reader import load_results
from campaign.engines.stores.schema import to_records
from campaign.errors import SetupError
from campaign.records import TrialRecord

Make = Callable[..., TrialRecord]


@pytest.fixture
def folder(tmp_path: Path, make_record: Make) -> Path:
    """Three parts of ten trials: 0-9, 10-19, 20-29."""
    store = ParquetStore(tmp_path / "results", seal_rows=10)
    for first in (0, 10, 20):
        store.append([make_record(n) for n in range(first, first + 10)])
    store.close()
    assert len(parts(tmp_path / "results")) == 3
    return tmp_path / "results"


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("trials/*.parquet"))


def numbers(table: pa.Table) -> list[int]:
    return sorted(table["seed"].to_pylist())


def reopened(folder: Path) -> tuple[list[int], int, list[str]]:
    """The trials that are shown, how many count as done, and the warnings."""
    store = ParquetStore(folder)
    found = numbers(store.read()), len(store.done()), list(store.warnings)
    store.close()
    return found


def truncate(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-100])


def flip_a_bit(part: Path) -> None:
    content = bytearray(part.read_bytes())
    content[len(content) // 3] ^= 4
    part.write_bytes(content)


@pytest.mark.parametrize("harm", [truncate, flip_a_bit])
def test_a_reader_passes_over_a_damaged_part_and_names_it(
    folder: Path, harm: Callable[[Path], None]
) -> None:
    harm(parts(folder)[1])
    table, (line,) = load_results(folder)
    assert numbers(table) == [*range(10), *range(20, 30)]
    assert str(parts(folder)[1]) in line


def test_a_truncated_part_is_set_aside_and_its_trials_are_to_be_run_again(
    folder: Path, make_record: Make
) -> None:
    part = parts(folder)[1]
    truncate(part)
    shown, done, (line,) = reopened(folder)
    assert shown == [*range(10), *range(20, 30)]
    assert done == 20
    assert part.name in line
    assert "10 trials will be run again" in line
    assert part.with_name(f"{part.name}.bad").exists()

    store = ParquetStore(folder)
    assert store.append([make_record(n) for n in range(30)]) == 10
    store.close()
    assert load_results(folder).warnings == []
    assert reopened(folder) == (list(range(30)), 30, [])


def test_a_flipped_bit_inside_a_part_is_found_by_verify(folder: Path) -> None:
    flip_a_bit(parts(folder)[2])
    store = ParquetStore(folder)
    (line,) = store.verify()
    assert "sha256" in line
    assert len(store.done()) == len(store.read()) == 20
    assert store.verify() == []
    store.close()


def test_a_part_that_is_gone_makes_its_trials_unfinished(folder: Path) -> None:
    parts(folder)[0].unlink()
    (line,) = load_results(folder).warnings
    assert "missing" in line
    shown, done, (line,) = reopened(folder)
    assert shown == list(range(10, 30))
    assert done == 20
    assert "missing" in line
    assert load_results(folder).warnings == []


def test_losing_a_part_brings_back_the_failed_row_that_it_replaced(
    tmp_path: Path, make_record: Make
) -> None:
    store = ParquetStore(tmp_path, seal_rows=1)
    store.append([make_record(1, status="oom")])
    store.append([make_record(1)])
    store.close()
    parts(tmp_path)[1].unlink()
    store = ParquetStore(tmp_path)
    assert store.done() == {make_record(1).trial_id: "oom"}
    assert [r.status for r in to_records(store.read())] == ["oom"]
    store.close()


def test_losing_a_part_keeps_the_newest_of_the_failed_rows(
    tmp_path: Path, make_record: Make
) -> None:
    store = ParquetStore(tmp_path / "run")
    for record in (make_record(1, status="error", attempt=1), make_record(2)):
        store.append([record])
        store.seal()
    store.append([make_record(1, status="oom", attempt=2)])
    shutil.copytree(tmp_path / "run", tmp_path / "crashed")
    store.close()
    parts(tmp_path / "crashed")[1].unlink()
    store = ParquetStore(tmp_path / "crashed")
    assert list(store.done().values()) == ["oom"]
    assert [record.attempt for record in to_records(store.read())] == [2]
    store.close()


def test_parquet_files_of_others_are_left_alone_and_named(folder: Path) -> None:
    foreign = folder / "trials" / "aggregate.parquet"
    pq.write_table(pa.table({"trial_id": ["x"], "status": ["ok"]}), foreign)
    before = foreign.read_bytes()
    shown, done, (line,) = reopened(folder)
    assert (shown, done) == (list(range(30)), 30)
    assert str(foreign) in line
    assert foreign.read_bytes() == before
    assert len(load_results(folder).warnings) == 1


def test_a_file_that_is_no_parquet_at_all_is_set_aside(folder: Path) -> None:
    (folder / "trials" / "part-000009-deadbeef.parquet").write_text("not what it says")
    assert len(load_results(folder).warnings) == 1
    shown, done, warnings = reopened(folder)
    assert (shown, done, len(warnings)) == (list(range(30)), 30, 1)
    assert reopened(folder)[2] == []


def test_parts_copied_from_another_machine_count_as_done(
    folder: Path, tmp_path: Path, make_record: Make
) -> None:
    other = ParquetStore(tmp_path / "other")
    other.append([make_record(n, n_sdc=6) for n in range(25, 40)])
    other.close()
    (part,) = parts(tmp_path / "other")
    part.rename(folder / "trials" / part.name)
    store = ParquetStore(folder)
    assert len(store.done()) == len(store.read()) == 40
    assert {c.trial_id for c in store.conflicts()} == {
        make_record(n).trial_id for n in range(25, 30) if n % 7 != 6
    }
    store.close()


def test_a_lost_journal_is_rebuilt_from_the_parts(folder: Path) -> None:
    (folder / "journal.db").unlink()
    assert reopened(folder) == (list(range(30)), 30, [])


def _garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff" * 5000)


def _torn(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 3] = b"\xa5" * (4096 * 2)
    path.write_bytes(content)


def _of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text)")
    db.close()


@pytest.mark.parametrize("harm", [_garbage, _torn, _of_another_program])
def test_a_damaged_journal_is_kept_aside_and_rebuilt(
    folder: Path, harm: Callable[[Path], None]
) -> None:
    harm(folder / "journal.db")
    harmed = (folder / "journal.db").read_bytes()
    assert numbers(load_results(folder).table) == list(range(30))
    shown, done, (line,) = reopened(folder)
    assert (shown, done) == (list(range(30)), 30)
    assert "journal.db.corrupt-" in line
    (aside,) = folder.glob("journal.db.corrupt-*")
    assert aside.read_bytes() == harmed


def test_sealing_that_fails_is_a_warning_and_is_made_up_for(
    tmp_path: Path, make_record: Make
) -> None:
    store = ParquetStore(tmp_path, seal_rows=5)
    obstacle = tmp_path / "trials" / "_manifest.jsonl"
    obstacle.mkdir()
    assert store.append([make_record(n) for n in range(7)]) == 7
    (line,) = store.warnings
    assert "not sealed" in line
    assert len(store.done()) == 7
    obstacle.rmdir()
    assert store.append([make_record(n) for n in range(7, 9)]) == 2
    store.close()
    assert numbers(load_results(tmp_path).table) == list(range(9))
    assert sum(pq.read_metadata(part).num_rows for part in parts(tmp_path)) == 9


def test_a_torn_line_of_the_manifest_costs_nothing(folder: Path, make_record: Make) -> None:
    with (folder / "trials" / "_manifest.jsonl").open("a") as file:
        file.write('{"part": "part-0000')
    store = ParquetStore(folder)
    store.append([make_record(99)])
    store.close()
    assert load_results(folder).warnings == []
    assert reopened(folder)[1:] == (31, [])


def test_a_folder_that_cannot_be_made_is_a_setup_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match=r"cannot be written.*MiB free"):
        ParquetStore(tmp_path / "file" / "results")


def test_a_slow_campaign_does_not_end_in_thousands_of_small_parts(
    tmp_path: Path, make_record: Make
) -> None:
    store = ParquetStore(tmp_path, seal_seconds=0.0)
    for n in range(600):
        store.append([make_record(n)])
    store.close()
    assert numbers(load_results(tmp_path).table) == list(range(600))
    assert len(parts(tmp_path)) < 100


def test_no_file_outside_of_the_folder_is_touched_whatever_the_folder_says(
    folder: Path, tmp_path: Path
) -> None:
    """Someone else's results may hold anything."""
    mine = [tmp_path / name for name in ("one.parquet", "two.parquet", "three", "four.parquet")]
    for path in mine:
        path.write_text("mine")
    held = json.loads((folder / "trials" / MANIFEST).read_text().splitlines()[0])
    entries = [
        {**held, "replaces": ["../../one.parquet"]},
        {**held, "part": "../../two.parquet"},
        {**held, "part": "../../three"},
        {**held, "part": ".."},
    ]
    add_lines(folder / "trials", entries)
    assert reopened(folder) == (list(range(30)), 30, [])
    with closing(sqlite3.connect(folder / "journal.db")) as db:
        db.execute("INSERT INTO parts VALUES (99, '../../four.parquet', 1, 1, 'a')")
        db.commit()
    shown, done, (line,) = reopened(folder)
    assert (shown, done) == (list(range(30)), 30)
    assert "lists a part outside of the folder" in line
    assert [path.read_text() for path in mine] == ["mine"] * 4


@pytest.mark.parametrize("missing", ["trial_id", "status"])
def test_rows_that_name_no_trial_are_passed_over(folder: Path, missing: str) -> None:
    whole = pq.read_table(parts(folder)[0])
    pq.write_table(whole.drop_columns([missing]), folder / "trials" / "mine.parquet")
    shown, done, (line,) = reopened(folder)
    assert (shown, done) == (list(range(30)), 30)
    assert "mine.parquet is passed over: rows without trial_id or status" in line
    assert numbers(load_results(folder).table) == list(range(30))

"""All rows of a results folder as one table, each trial once, also while a writer is at it.

Nothing is written into the folder and no lock is taken.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from campaign.engines.stores.layout import check_journal, tail_columns
from campaign.engines.stores.lock import is_held_here
from campaign.engines.stores.manifest import Manifest, read_manifest
from campaign.engines.stores.parts import (
    DamagedPartError,
    ForeignPartError,
    load_part,
)
from campaign.engines.stores.schema import arrow_schema, concat, schema_of, to_table
from campaign.errors import SetupError
from campaign.records import COLUMNS

JOURNAL = "journal.db"
TRIALS = "trials"
_WAL = 2
"""Byte 18 of a SQLite file that has a write-ahead log."""


class Results(NamedTuple):
    """What a results folder holds, and what of it could not be read."""

    table: pa.Table
    """Every trial once, in the columns of `campaign.records.COLUMNS`."""
    warnings: list[str]
    """One line for each file that was passed over."""


def read_results(folder: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read every trial of a results folder; see `load_results`.

    A file that cannot be read is passed over with a Python warning that names it.
    """
    table, lines = load_results(folder, columns)
    for line in lines:
        warnings.warn(line, stacklevel=2)
    return table


def load_results(
    folder: str | Path, columns: Sequence[str] | None = None, *, encoded: Collection[str] = ()
) -> Results:
    """Read every trial of a results folder: its sealed parts and the tail of its journal.

    Where a trial has several rows, the first of status ok counts, else the newest. A folder with
    nothing but ``trials/*.parquet`` will do.

    Args:
        folder: The results folder.
        columns: Which columns, in the order wanted; None is all. A million rows whole take 0.5 GB.
        encoded: Those of them, of text, that come dictionary-encoded: names that repeat.

    Raises:
        SetupError: If there are no results in the folder.
        DriftError: If the rows have another meaning than in this version.
    """
    folder = Path(folder)
    lines: list[str] = []
    if not (folder / JOURNAL).exists() and not any((folder / TRIALS).glob("*.parquet")):
        raise SetupError(f"no results in {folder}: run `campaign run SPEC` first")
    needed = None if columns is None else {*columns, "trial_id", "status"}
    tail = load_tail(folder / JOURNAL, lines)  # first: rows only move from the tail to parts
    if needed is not None:
        tail = tail.select(schema_of(needed).names)
    parts = _load_parts(folder / TRIALS, lines, needed, encoded)
    table = each_once(_below(parts, encode(tail, encoded), needed))
    return Results(table if columns is None else table.select(list(columns)), lines)


def encode(table: pa.Table, names: Collection[str]) -> pa.Table:
    """The table with some columns of text dictionary-encoded, which takes 4 bytes a row."""
    for place, name in enumerate(table.column_names):
        if name in names:
            table = table.set_column(place, name, table[name].dictionary_encode())
    return table


def _below(parts: list[pa.Table], tail: pa.Table, columns: Collection[str] | None) -> pa.Table:
    if tail.schema.equals(schema_of(columns)):
        return concat([*parts, tail], columns)
    return pa.concat_tables([*parts, tail]).unify_dictionaries()


def _load_parts(
    trials: Path, lines: list[str], columns: Collection[str] | None, encoded: Collection[str]
) -> list[pa.Table]:
    """Every part, read again from the start where parts were replaced in the meantime."""
    for _ in range(10):
        manifest = read_manifest(trials)  # first: a part is there before its line
        tables, told = _load_listed(trials, manifest, columns, encoded)
        if read_manifest(trials).replaced == manifest.replaced:
            break
    lines += told
    return tables


def _load_listed(
    trials: Path, manifest: Manifest, columns: Collection[str] | None, encoded: Collection[str]
) -> tuple[list[pa.Table], list[str]]:
    listed, tables, lines = dict(manifest.parts), [], []
    for path in sorted(trials.glob("*.parquet")):
        if path.name in manifest.replaced:
            continue
        part = listed.pop(path.name, None)
        try:
            table = load_part(path, part and part.sha256, columns)[0]
            tables.append(encode(table, encoded))
        except (DamagedPartError, ForeignPartError, OSError) as error:
            lines.append(f"{path} is passed over: {error}")
    lines += [f"{trials / name} is missing; its rows are not shown" for name in listed]
    return tables, lines


def each_once(table: pa.Table) -> pa.Table:
    """The rows less those of trials that have a better one: the first ok, else the newest."""
    n, ids = len(table), table["trial_id"].combine_chunks()
    if len(ids.unique()) == n:
        return table
    place = pa.array(range(n), pa.int64())
    ok = pc.equal(table["status"].combine_chunks(), pa.scalar("ok"))
    late = pc.subtract(pa.scalar(2 * n), place)  # all ok rows above all failed ones, first on top
    ranked = pa.table({"id": ids, "rank": pc.if_else(ok, late, place)})
    best = ranked.group_by("id").aggregate([("rank", "max")])["rank_max"].combine_chunks()
    kept = pc.if_else(pc.greater(best, pa.scalar(n)), pc.subtract(pa.scalar(2 * n), best), best)
    return table.take(kept.take(pc.array_sort_indices(kept)))


def load_tail(journal: Path, lines: list[str]) -> pa.Table:
    """The rows of a journal that are in no part yet; what goes wrong is added to `lines`."""
    if not journal.exists() or journal.stat().st_size == 0:
        return arrow_schema().empty_table()
    try:
        return _read_patiently(journal)
    except sqlite3.DatabaseError as error:
        lines.append(f"{journal} cannot be read: {error}; rows in no part yet are not shown")
        return arrow_schema().empty_table()


def _read_patiently(journal: Path) -> pa.Table:
    for wait in (0.02, 0.2, 1.0):
        try:
            return _read_now(journal)
        except (sqlite3.OperationalError, FileNotFoundError):  # a writer came, went or moved on
            time.sleep(wait)
    return _read_now(journal)


def _read_now(journal: Path) -> pa.Table:
    # held first: where the writer is this process, opening the file here would drop its locks
    in_place = is_held_here(journal.parent) or _is_single_file(journal)
    return _read_tail(journal) if in_place else _read_copy(journal)


def _is_single_file(journal: Path) -> bool:
    with journal.open("rb") as file:
        header = file.read(19)
    return header[-1] != _WAL and not Path(f"{journal}-journal").exists()


def _read_copy(journal: Path) -> pa.Table:
    """Read a journal that no writer on this machine is at work on, without repairing it in place.

    A copy of a file and of its log is a state that was committed, unless the log was begun anew
    in between; its first bytes tell.
    """
    log = Path(f"{journal}-wal")
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        before = _beginning(log)
        for suffix in ("", "-wal", "-journal"):
            source = Path(f"{journal}{suffix}")
            if source.exists():
                shutil.copyfile(source, Path(folder) / source.name)
        if _beginning(log) != before:
            raise sqlite3.OperationalError("its writer moved on while it was copied")
        return _read_tail(Path(folder) / journal.name, "mode=rw")


def _beginning(log: Path) -> bytes:
    try:
        with log.open("rb") as file:
            return file.read(32)
    except FileNotFoundError:
        return b""


def _read_tail(journal: Path, how: str = "mode=ro&readonly_shm=1") -> pa.Table:
    uri = f"{journal.resolve().as_uri()}?{how}"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30.0)) as db:
        check_journal(db, journal)
        present = tail_columns(db)
        names = ", ".join(f'"{name}"' if name in present else "NULL" for name in COLUMNS)
        return to_table(db.execute(f"SELECT {names} FROM tail ORDER BY seq").fetchall())

"""The tables of the journal, made, checked and brought up to the columns of today."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from campaign.engines.stores.schema import check_version
from campaign.records import COLUMNS, SCHEMA_VERSION, column_types

APPLICATION_ID = 0x46434A31
"""Marks a SQLite file as a journal of this layout ("FCJ1")."""

_KINDS = {"str": ("TEXT", "text"), "int": ("INTEGER", "integer"), "float": ("REAL", "real")}
_TABLES = (
    "CREATE TABLE trials (trial_id TEXT PRIMARY KEY, status TEXT NOT NULL, part INTEGER,"
    " seq INTEGER) WITHOUT ROWID",
    "CREATE TABLE tail (seq INTEGER PRIMARY KEY)",
    "CREATE TABLE parts (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " rows INTEGER NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL)",
    "CREATE TABLE conflicts (trial_id TEXT NOT NULL, device TEXT NOT NULL,"
    " differences TEXT NOT NULL, found_at REAL NOT NULL, UNIQUE (trial_id, device, differences))",
)

_ELSEWHERE = "SELECT 1 FROM parts WHERE instr(name, '/') OR name NOT LIKE '%.parquet'"


def open_database(path: Path) -> sqlite3.Connection:
    """Open the journal for writing, every commit durable; make it if it is not there.

    Raises:
        DriftError: If it holds rows of another meaning.
        sqlite3.OperationalError: If it cannot be opened or written.
        sqlite3.DatabaseError: If it is damaged, or is something else.
    """
    db = sqlite3.connect(path, isolation_level=None, timeout=30.0)
    try:
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def check_journal(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a SQLite file that is no journal, or whose rows have another meaning.

    Raises:
        DriftError: If the rows have another meaning.
        sqlite3.DatabaseError: If it is no journal of this layout.
    """
    if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        raise sqlite3.DatabaseError("it is not a journal of campaign")
    check_version(db.execute("PRAGMA user_version").fetchone()[0], path)


def tail_columns(db: sqlite3.Connection) -> set[str]:
    """The columns of records that the journal has; fewer than today's if it is older."""
    return {name for _, name, *_ in db.execute("PRAGMA table_info(tail)")}


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA synchronous = FULL")
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        _create(db)
    check_journal(db, path)
    if db.execute(_ELSEWHERE).fetchone() is not None:  # files are moved by these names
        raise sqlite3.DatabaseError("it lists a part outside of the folder")
    (problem,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)
    db.execute("PRAGMA journal_mode = WAL")
    present = tail_columns(db)
    for name in COLUMNS:
        if name not in present:
            db.execute(f"ALTER TABLE tail ADD COLUMN {_column(name)}")


def _create(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    for table in _TABLES:
        db.execute(table)
    db.execute("COMMIT")


def _column(name: str) -> str:
    affinity, kind = _KINDS[column_types()[name]]
    return f"\"{name}\" {affinity} CHECK (typeof(\"{name}\") IN ('{kind}', 'null'))"

"""The journal is durable by its settings, which no kill of a process can show."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from campaign.engines.stores.layout import check_journal, open_database, tail_columns
from campaign.records import COLUMNS

FULL = 2


def test_every_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    with contextlib.closing(open_database(tmp_path / "journal.db")) as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (FULL,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_tail_has_the_columns_of_records(tmp_path: Path) -> None:
    with contextlib.closing(open_database(tmp_path / "journal.db")) as db:
        assert tail_columns(db) == {"seq", *COLUMNS}


def test_another_sqlite_file_is_no_journal(tmp_path: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as db,
        pytest.raises(sqlite3.DatabaseError, match="not a journal"),
    ):
        check_journal(db, tmp_path / "other.db")

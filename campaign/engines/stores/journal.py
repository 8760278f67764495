"""The SQLite file that every row is committed to before it is acknowledged.

Table ``tail`` holds the rows that are in no part yet. Table ``trials`` says where the row of each
trial is, so that a million finished trials are known without reading a part.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from campaign.engines.stores.conflicts import Conflict
from campaign.engines.stores.layout import open_database
from campaign.engines.stores.parts import Part
from campaign.engines.stores.schema import Row
from campaign.records import COLUMNS

_ID, _STATUS = COLUMNS.index("trial_id"), COLUMNS.index("status")
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_KEEP = f"INSERT INTO tail (seq, {_NAMES}) VALUES (?{', ?' * len(COLUMNS)})"
_REFUSED = (sqlite3.InterfaceError, sqlite3.ProgrammingError)
"""What binding a value of an unknown type raises, before and since Python 3.11."""
_HELD = "SELECT status, part, seq FROM trials WHERE trial_id = ?"


class Held(NamedTuple):
    """Where the row of a trial is: in a part by its number, or in the tail under `seq`."""

    status: str
    part: int | None
    seq: int | None


class Journal:
    """The journal, opened by its one writer; see `open_database` for the errors.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._db = open_database(path)
        (self._seq,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM tail").fetchone()

    def insert(self, rows: Sequence[Row]) -> list[Row]:
        """Commit rows to the tail, all or none; they are durable when this returns.

        Returns:
            Those that repeat a trial whose row has status ok; that row stays.

        Raises:
            TypeError: If a value does not fit its column.
            sqlite3.Error: If the disk refuses.
        """
        repeats = []
        with self.transaction():
            for row in rows:
                held = self.held(row[_ID])
                if held is not None and held.status == "ok":
                    repeats.append(row)
                else:
                    self._keep(row, held)
        return repeats

    def held(self, trial_id: object) -> Held | None:
        """Where the row of a trial is, None if it has none."""
        found = self._db.execute(_HELD, (trial_id,)).fetchone()
        return None if found is None else Held(*found)

    def tail(self, limit: int) -> tuple[list[Row], int]:
        """The oldest rows that are in no part, at most `limit`, and the seq of the last of them."""
        sql = f"SELECT seq, {_NAMES} FROM tail ORDER BY seq LIMIT ?"
        found = self._db.execute(sql, (limit,)).fetchall()
        return [row[1:] for row in found], found[-1][0] if found else 0

    def tail_row(self, seq: int) -> Row:
        """The row of the tail under `seq`."""
        found: Row = self._db.execute(f"SELECT {_NAMES} FROM tail WHERE seq = ?", (seq,)).fetchone()
        return found

    def unsealed(self) -> int:
        """How many rows are in no part."""
        return int(self._db.execute("SELECT count(*) FROM tail").fetchone()[0])

    def done(self) -> dict[str, str]:
        """Status of every trial that has a row, by trial id."""
        good = self._db.execute("SELECT trial_id FROM trials WHERE status = 'ok'")
        done = dict.fromkeys((key for (key,) in good), "ok")  # one text for a million statuses
        done.update(self._db.execute("SELECT trial_id, status FROM trials WHERE status <> 'ok'"))
        return done

    def seal(self, part: Part, last: int) -> None:
        """Say that the rows of the tail up to seq `last` are in `part`, and drop them."""
        with self.transaction():
            number = self.add_part(part)
            self._db.execute(
                "UPDATE trials SET part = ?, seq = NULL "
                "WHERE trial_id IN (SELECT trial_id FROM tail WHERE seq <= ?)",
                (number, last),
            )
            self._db.execute("DELETE FROM tail WHERE seq <= ?", (last,))

    def add_part(self, part: Part) -> int:
        """List a part; returns its number."""
        sql = "INSERT INTO parts (name, rows, size, sha256) VALUES (?, ?, ?, ?)"
        return int(self._db.execute(sql, part).lastrowid or 0)

    def replace_parts(self, part: Part, names: Sequence[str]) -> None:
        """Say that the rows of the parts `names` are in `part`; a second call does nothing."""
        known = {held.name: number for number, held in self.parts().items()}
        with self.transaction():
            number = known.get(part.name) or self.add_part(part)
            for old in (known[name] for name in names if name in known):
                self._db.execute("UPDATE trials SET part = ? WHERE part = ?", (number, old))
                self._db.execute("DELETE FROM parts WHERE number = ?", (old,))

    def trials_in(self, names: Sequence[str]) -> list[str]:
        """The trials whose row that counts is in one of these parts."""
        numbers = [number for number, part in self.parts().items() if part.name in set(names)]
        sql = "SELECT trial_id FROM trials WHERE part = ?"
        return [key for number in numbers for (key,) in self._db.execute(sql, (number,))]

    def parts(self) -> dict[int, Part]:
        """The parts that are listed, by number."""
        found = self._db.execute("SELECT number, name, rows, size, sha256 FROM parts")
        return {number: Part(*rest) for number, *rest in found}

    def forget_parts(self) -> None:
        """Know only the tail, so that all parts can be adopted anew."""
        with self.transaction():
            self._db.execute("DELETE FROM trials WHERE part IS NOT NULL")
            self._db.execute("DELETE FROM parts")

    def place(self, number: int, ids: Sequence[object], statuses: Sequence[object]) -> list[int]:
        """Say that the rows of trials are in a part, for those that have no row yet.

        Returns:
            The indices of the others; `settle` decides on them.
        """
        before = self._db.total_changes
        self._db.executemany(
            "INSERT OR IGNORE INTO trials VALUES (?, ?, ?, NULL)",
            zip(ids, statuses, repeat(number), strict=False),
        )
        if self._db.total_changes - before == len(ids):
            return []
        holders = (self.held(trial_id) for trial_id in ids)
        return [i for i, held in enumerate(holders) if held is None or held.part != number]

    def settle(self, number: int, row: Row) -> bool:
        """Decide between the row of a trial in a part and the one that is held.

        A row that the tail holds as well is dropped there: a crash came between the steps of
        sealing. Else ok stays, and gives way to nothing. A failed row gives way to ok; to another
        failed one only if it is in a part, because parts come from old to new and the tail last.

        Returns:
            Whether the row repeats one of status ok that stays.
        """
        status, _, seq = self._db.execute(_HELD, (row[_ID],)).fetchone()
        if seq is None or self.tail_row(seq) != row:
            if status == "ok":
                return True
            if seq is not None and row[_STATUS] != "ok":
                return False
        self._db.execute(
            "UPDATE trials SET status = ?, part = ?, seq = NULL WHERE trial_id = ?",
            (row[_STATUS], number, row[_ID]),
        )
        self._db.execute("DELETE FROM tail WHERE seq = ?", (seq,))
        return False

    def note(self, conflict: Conflict) -> bool:
        """Keep a conflict; returns whether it is a new one."""
        text = json.dumps(conflict.differences)
        sql = "INSERT OR IGNORE INTO conflicts VALUES (?, ?, ?, ?)"
        values = (conflict.trial_id, conflict.device, text, time.time())
        return self._db.execute(sql, values).rowcount == 1

    def conflicts(self) -> list[Conflict]:
        """The conflicts, oldest first."""
        found = self._db.execute("SELECT trial_id, device, differences FROM conflicts")
        return [
            Conflict(trial_id, device, {k: (a, b) for k, (a, b) in json.loads(text).items()})
            for trial_id, device, text in found
        ]

    def problems(self) -> list[str]:
        """What SQLite's full check of the file finds; empty if it is sound."""
        lines = [str(line) for (line,) in self._db.execute("PRAGMA integrity_check")]
        return [] if lines == ["ok"] else lines

    def close(self) -> None:
        """Fold the write-ahead log into the file, which then needs no other to be read."""
        with contextlib.suppress(sqlite3.Error):  # a reader is in the way; the log stays valid
            self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done inside is committed durably, or nothing of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _keep(self, row: Row, held: Held | None) -> None:
        self._seq += 1
        values = (row[_STATUS], self._seq, row[_ID])
        if held is None:
            sql = "INSERT INTO trials (status, seq, trial_id) VALUES (?, ?, ?)"
        else:
            self._db.execute("DELETE FROM tail WHERE seq = ?", (held.seq,))
            sql = "UPDATE trials SET status = ?, seq = ?, part = NULL WHERE trial_id = ?"
        self._db.execute(sql, values)
        try:
            self._db.execute(_KEEP, (self._seq, *row))
        except UnicodeEncodeError:
            self._db.execute(_KEEP, (self._seq, *map(_encodable, row)))
        except (sqlite3.IntegrityError, *_REFUSED, OverflowError) as error:
            message = f"trial {row[_ID]}: a value does not fit its column: {error}"
            raise TypeError(message) from None


def _encodable(value: object) -> object:
    """A text without the lone surrogates that undecodable file names bring into messages."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value

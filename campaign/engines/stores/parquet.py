"""The results folder of a campaign, as its one writer sees it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa

from campaign.engines.stores import recovery
from campaign.engines.stores.compact import Compacted, compact_parts
from campaign.engines.stores.conflicts import Conflict
from campaign.engines.stores.lock import FolderLock
from campaign.engines.stores.manifest import list_part
from campaign.engines.stores.parts import sync_folder, write_part
from campaign.engines.stores.reader import JOURNAL, TRIALS, load_results
from campaign.engines.stores.schema import row_of, to_table
from campaign.errors import SetupError
from campaign.records import TrialRecord

MAX_PART_ROWS = 50_000
PATIENCE = 20
"""Time alone seals no part of less than one row in so many: a slow campaign of days would else
end with a small file for every half minute, and reading it would take seconds."""


class ParquetStore:
    """Rows in a journal, sealed from time to time into immutable Parquet parts.

    A row is durable when `append` returns, and in a part soon after. A crash at any moment loses
    no such row and shows none twice: rows leave the journal only when the part that holds them
    is on the disk and listed. `campaign.engines.stores.reader` reads the folder at any time.

    Args:
        folder: The results folder; made if it is not there.
        seal_rows: Seal when so many rows are in no part, at most `MAX_PART_ROWS` a part.
        seal_seconds: Seal at the first `append` so many seconds after the last sealing, where the
            rows in no part are more than one in `patience` of those that are.
        patience: None seals for time alone, however few the rows.

    Raises:
        LockedError: If another writer has the folder.
        DriftError: If it holds rows of another meaning.
        SetupError: If it cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = ParquetStore(folder)
        ...     print(store.append([]), store.done(), store.read().num_rows)
        ...     store.close()
        0 {} 0
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        seal_rows: int = 5_000,
        seal_seconds: float = 30.0,
        patience: int | None = PATIENCE,
    ) -> None:
        self.folder = Path(folder)
        self.warnings: list[str] = []
        self._trials = self.folder / TRIALS
        self._seal_rows, self._seal_seconds, self._patience = seal_rows, seal_seconds, patience
        self._unsettled = False
        self._last_seal = time.monotonic()
        self._unsealed = self._sealed = 0
        try:
            self._release = self._acquire()
        except (OSError, sqlite3.Error) as error:
            raise SetupError(self._cannot_write(error)) from error

    def append(self, records: Sequence[TrialRecord]) -> int:
        rows = [row_of(record) for record in records]
        try:
            repeats = self._journal.insert(rows)
            if repeats:
                recovery.check_repeats(self._journal, self._trials, repeats, self._warn)
        except (sqlite3.Error, OSError) as error:
            raise SetupError(self._cannot_write(error)) from error
        kept = len(rows) - len(repeats)
        self._unsealed += kept
        if self._seal_is_due():
            self.seal()
        return kept

    def done(self) -> dict[str, str]:
        return self._journal.done()

    def read(
        self, columns: Sequence[str] | None = None, *, encoded: Collection[str] = ()
    ) -> pa.Table:
        table, lines = load_results(self.folder, columns, encoded=encoded)
        for line in lines:
            self._warn(line)
        return table

    def conflicts(self) -> list[Conflict]:
        return self._journal.conflicts()

    def seal(self) -> None:
        """Move the rows of the journal into parts.

        Where that fails, a warning says so, the rows stay where they are, and a later call
        tries again.
        """
        self._last_seal = time.monotonic()
        try:
            if self._unsettled:  # the last attempt may have left a part that is not listed
                recovery.reconcile(self._journal, self._trials, self._warn)
            self._unsettled = True
            while self._seal_part():
                pass
            self._unsettled = False
            self._count()
        except (OSError, sqlite3.Error, pa.ArrowException) as error:
            self._warn(f"not sealed, to be tried again; {self._cannot_write(error)}")

    def compact(self) -> Compacted:
        """Seal, then merge parts that are small; see `campaign.engines.stores.compact`.

        Raises:
            SetupError: If the folder cannot be written; no row is lost.
        """
        self.seal()
        try:
            return compact_parts(self._journal, self._trials)
        except (OSError, sqlite3.Error, pa.ArrowException) as error:
            raise SetupError(self._cannot_write(error)) from error

    def verify(self) -> list[str]:
        """Compare every byte of the parts with what was written.

        A part that differs is renamed, and its trials are no longer done.

        Returns:
            What was found, one line each, also added to `warnings`; empty if all is sound.
        """
        found: list[str] = []
        recovery.verify(self._journal, self._trials, found.append)
        for line in found:
            self._warn(line)
        return found

    def close(self) -> None:
        if self._unsealed:
            self.seal()
        self._unsealed = 0
        self._release.close()

    def _acquire(self) -> contextlib.ExitStack:
        self._trials.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as release:
            lock = FolderLock(self.folder)
            release.callback(lock.release)
            self._journal = recovery.open_journal(self.folder / JOURNAL, self._warn)
            release.callback(self._journal.close)
            recovery.reconcile(self._journal, self._trials, self._warn)
            self._count()
            sync_folder(self.folder)
            return release.pop_all()

    def _count(self) -> None:
        self._unsealed = self._journal.unsealed()
        self._sealed = sum(part.rows for part in self._journal.parts().values())

    def _seal_part(self) -> bool:
        rows, last = self._journal.tail(MAX_PART_ROWS)
        if rows:
            part = write_part(self._trials, to_table(rows))
            list_part(self._trials, part)
            self._journal.seal(part, last)
        return bool(rows)

    def _seal_is_due(self) -> bool:
        if self._unsealed >= self._seal_rows and not self._unsettled:
            return True
        waited = time.monotonic() - self._last_seal
        enough = self._patience is None or self._unsealed * self._patience > self._sealed
        return waited >= self._seal_seconds and self._unsealed > 0 and enough

    def _warn(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)

    def _cannot_write(self, error: Exception) -> str:
        folder = next(
            path for path in (self.folder, *self.folder.absolute().parents) if path.exists()
        )
        free = shutil.disk_usage(folder).free / 2**20
        return (
            f"{self.folder}: results cannot be written: {error} ({free:,.0f} MiB free); rows "
            "recorded so far are safe: make room or name another folder, then run again"
        )

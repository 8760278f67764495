"""The rows of a results folder, read again and again: what is sealed is read once."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from campaign.engines.stores.manifest import read_manifest
from campaign.engines.stores.parts import DamagedPartError, ForeignPartError, load_part
from campaign.engines.stores.reader import JOURNAL, TRIALS, each_once, load_tail
from campaign.engines.stores.schema import arrow_schema
from campaign.errors import SpecError

KEYS = ("setup_id", "model", "dataset", "dtype", "method", "nonfinite", "fault", "targets")
PLACES = ("device", "host")
KEPT = (
    *("trial_id", "status", "error_type", "error", "t", "train_seed", "ber", "seed", "attempt"),
    *("n_samples", "n_correct", "n_correct_top5", "n_nonfinite", "n_masked", "n_benign", "n_sdc"),
    *("n_improved", "n_fault_free", "stored_bits", "check_bits", "exposed_bits", "exposed_worst"),
    *("flipped_bits", "flipped_worst", "corrected", "detected", "seconds", "finished_at"),
)
"""Columns that are held in memory, some 250 bytes a row; the others are read when asked for."""
_HELD = {*KEPT, *KEYS, *PLACES}
JOIN = "+"
"""Between the ids of setups that a curve is made of together."""
Signature = tuple[tuple[str, int, int], ...]


class Snapshot(NamedTuple):
    """Every trial of a folder once, as it was when it was read."""

    table: pa.Table
    """The columns `KEPT`, `KEYS` and `PLACES` (the last two as dictionaries), sorted by setup."""
    starts: dict[str, tuple[int, int]]
    """Setup id -> its first row, and how many there are."""
    warnings: tuple[str, ...]
    """One line for each file that was passed over."""

    def setup(self, setup_id: str) -> pa.Table:
        """The rows of one setup, or of several by their ids with `JOIN` between them."""
        found = [self.table.slice(*self.starts[one]) for one in setup_id.split(JOIN)]
        return found[0] if len(found) == 1 else pa.concat_tables(found)


class FolderRows:
    """Reads one results folder; parts are immutable, so each is read once and kept.

    Args:
        folder: A results folder; nothing is written into it and no lock is taken.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts: dict[str, pa.Table] = {}
        self._damaged: dict[str, str] = {}

    def signature(self) -> Signature:
        """What changes whenever rows are added: names, sizes and times of the files."""
        files = [*(self.folder / TRIALS).glob("*.parquet")]
        files += [self.folder / f"{JOURNAL}{suffix}" for suffix in ("", "-wal")]
        found = []
        for path in files:
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found.append((path.name, stat.st_size, stat.st_mtime_ns))
        return tuple(sorted(found))

    def read(self) -> Snapshot:
        """All rows now: new parts and the tail of the journal are read, the rest is at hand.

        Raises:
            DriftError: If the rows have another meaning than in this version.
        """
        lines: list[str] = []
        tail = _narrow(load_tail(self.folder / JOURNAL, lines))  # first: rows only move to parts
        manifest = read_manifest(self.folder / TRIALS)
        listed = manifest.parts
        present = self._present(manifest.replaced)
        for path in present:
            if path.name not in self._parts and path.name not in self._damaged:
                self._load(path, listed[path.name].sha256 if path.name in listed else None)
        names = {path.name for path in present}
        self._parts = {name: part for name, part in self._parts.items() if name in names}
        lines += [text for name, text in self._damaged.items() if name in names]
        lines += [f"{self.folder / TRIALS / name} is missing" for name in listed.keys() - names]
        table = each_once(pa.concat_tables([*self._parts.values(), tail]).unify_dictionaries())
        return _by_setup(table.combine_chunks(), tuple(lines))

    def forget(self) -> None:
        """Give back the memory; the next `read` reads every part again."""
        self._parts, self._damaged = {}, {}

    def whole_row(self, trial_id: str, snapshot: Snapshot) -> dict[str, object]:
        """Every column of one trial, as the snapshot counts it.

        Raises:
            SpecError: If there is no such trial.
        """
        wanted = pc.equal(pc.field("trial_id"), pa.scalar(trial_id))
        found = []
        for path in self._present(read_manifest(self.folder / TRIALS).replaced):
            if path.name not in self._damaged:
                found += pq.read_table(path, filters=wanted, partitioning=None).to_pylist()
        tail = load_tail(self.folder / JOURNAL, [])
        found += [row for row in tail.to_pylist() if row["trial_id"] == trial_id]
        if not found:
            raise SpecError(f"{self.folder.name}: no trial {trial_id}")
        good = [row for row in found if row["status"] == "ok"]
        row: dict[str, object] = good[0] if good else found[-1]
        return {name: row.get(name) for name in arrow_schema().names}

    def _present(self, replaced: Collection[str]) -> list[Path]:
        """The files of parts, less those whose rows are in another one."""
        found = (self.folder / TRIALS).glob("*.parquet")
        return [path for path in sorted(found) if path.name not in replaced]

    def _load(self, path: Path, sha256: str | None) -> None:
        try:
            self._parts[path.name] = _narrow(load_part(path, sha256, _HELD)[0])
        except (DamagedPartError, ForeignPartError, OSError) as error:
            self._damaged[path.name] = f"{path} is passed over: {error}"


def _narrow(table: pa.Table) -> pa.Table:
    """The kept columns, names as dictionaries."""
    columns = {name: table[name] for name in KEPT}
    columns |= {name: table[name].dictionary_encode() for name in (*KEYS, *PLACES)}
    return pa.Table.from_arrays([*columns.values()], names=[*columns])


def _by_setup(table: pa.Table, lines: tuple[str, ...]) -> Snapshot:
    if not len(table):
        return Snapshot(table, {}, lines)
    setups: pa.DictionaryArray = table["setup_id"].chunk(0)  # type: ignore[type-arg, assignment]
    codes = setups.indices.to_numpy(zero_copy_only=False)
    order: npt.NDArray[np.intp] = np.argsort(codes, kind="stable")
    found, first, sizes = np.unique(codes[order], return_index=True, return_counts=True)
    names = setups.dictionary.to_pylist()
    starts = {
        names[code]: (int(start), int(size))
        for code, start, size in zip(found, first, sizes, strict=True)
    }
    return Snapshot(table.take(order).combine_chunks(), starts, lines)

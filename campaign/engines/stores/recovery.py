"""Bring the journal and the parts of a folder to agree when a writer opens it.

A crash can leave a part that the journal does not list, a hand can remove one that it does. Both
end in the same state: the journal lists the sound parts that are there, and nothing else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from campaign.engines.stores.conflicts import compare
from campaign.engines.stores.journal import Journal
from campaign.engines.stores.manifest import list_part, read_manifest, unlist_part
from campaign.engines.stores.parts import (
    DamagedPartError,
    ForeignPartError,
    Part,
    damage,
    load_part,
    set_aside,
)
from campaign.engines.stores.schema import Row, to_rows
from campaign.records import COLUMNS

Warn = Callable[[str], None]


def open_journal(path: Path, warn: Warn) -> Journal:
    """Open the journal; one that is damaged is renamed and begun anew."""
    try:
        return Journal(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        for suffix in ("-wal", "-shm", ""):
            old = Path(f"{path}{suffix}")
            if old.exists():
                old.rename(f"{path}.corrupt-{stamp}{suffix}")
        warn(
            f"{path} is damaged ({error}): renamed to {path.name}.corrupt-{stamp} and rebuilt from "
            "the sealed parts; trials that were in no part yet will be run again"
        )
        return Journal(path)


def reconcile(journal: Journal, trials: Path, warn: Warn) -> None:
    """Make the journal list the sound parts in a folder; set the damaged ones aside.

    Parts are judged by their size and ending, which costs no reading; see `verify`.
    """
    for leftover in trials.glob("*.tmp-*"):
        leftover.unlink()
    _finish_replacing(journal, trials)
    _drop_damaged(journal, trials, damage, warn)
    _adopt_new(journal, trials, warn)


def _finish_replacing(journal: Journal, trials: Path) -> None:
    """Go on where a crash came between the manifest's line of a compacted part and the end."""
    manifest = read_manifest(trials)
    for name, olds in manifest.replacements.items():
        part = manifest.parts.get(name)
        if part is None or damage(trials / name, part) is None:
            if part is not None:
                _follow(journal, part, olds)
            remove_parts(trials, olds)


def _follow(journal: Journal, part: Part, olds: Sequence[str]) -> None:
    """Let the journal know of a replacement; one that knows the old parts in part begins anew."""
    known = {held.name for held in journal.parts().values()}.intersection(olds)
    if known == set(olds):
        journal.replace_parts(part, olds)
    elif known:
        journal.forget_parts()


def remove_parts(trials: Path, names: Iterable[str]) -> None:
    """Delete files whose rows are in another part."""
    for name in names:
        (trials / name).unlink(missing_ok=True)


def verify(journal: Journal, trials: Path, warn: Warn) -> None:
    """Compare every byte of the parts with what was written; set aside what differs."""
    for line in journal.problems():
        warn(f"journal.db: {line}; end this run, remove the file, and the next rebuilds it")
    _drop_damaged(journal, trials, _damage_inside, warn)
    _adopt_new(journal, trials, warn)


def check_repeats(journal: Journal, trials: Path, rows: Sequence[Row], warn: Warn) -> None:
    """Compare rows that repeat finished trials with the rows that are kept; keep what differs."""
    ids = {str(row[0]) for row in rows if _named(row)["status"] == "ok"}
    kept = {row[0]: _named(row) for row in _kept_rows(journal, trials, ids, warn)}
    for row in rows:
        if row[0] in kept and _named(row)["status"] == "ok":
            conflict = compare(kept[row[0]], _named(row))
            if conflict is not None and journal.note(conflict):
                warn(str(conflict))


def _drop_damaged(
    journal: Journal, trials: Path, judge: Callable[[Path, Part], str | None], warn: Warn
) -> None:
    found = [(part, judge(trials / part.name, part)) for part in journal.parts().values()]
    damaged = [(part, why) for part, why in found if why]
    for part, why in damaged:
        _drop(trials, part.name, f"{why}; its {part.rows} trials will be run again", warn)
    if damaged:
        journal.forget_parts()


def _damage_inside(path: Path, part: Part) -> str | None:
    try:
        load_part(path, part.sha256)
    except (DamagedPartError, ForeignPartError) as error:
        return str(error)
    except FileNotFoundError:
        return "it is missing"
    return None


def _drop(trials: Path, name: str, why: str, warn: Warn) -> None:
    renamed = set_aside(trials / name)
    unlist_part(trials, name, why)
    warn(f"{trials / name}: {why}{f' (renamed to {renamed})' if renamed else ''}")


def _adopt_new(journal: Journal, trials: Path, warn: Warn) -> None:
    known = {part.name for part in journal.parts().values()}
    manifest = read_manifest(trials)
    listed = manifest.parts
    found = {path.name for path in trials.glob("*.parquet")}
    present = sorted(found - manifest.replaced)
    for name in listed.keys() - present:
        _drop(trials, name, "it is missing; its trials will be run again", warn)
    for name in present:
        if name not in known:
            _adopt_file(journal, trials / name, listed.get(name), warn)


def _adopt_file(journal: Journal, path: Path, listed: Part | None, warn: Warn) -> None:
    try:
        table, part = load_part(path, listed and listed.sha256)
    except ForeignPartError as error:
        warn(f"{path} is passed over: {error}")
    except DamagedPartError as error:
        _drop(path.parent, path.name, f"{error}; its trials will be run again", warn)
    else:
        if listed is None:
            list_part(path.parent, part)
        with journal.transaction():
            _adopt(journal, path.parent, table, journal.add_part(part), warn)


def _adopt(journal: Journal, trials: Path, table: pa.Table, number: int, warn: Warn) -> None:
    ids, statuses = table["trial_id"].to_pylist(), table["status"].to_pylist()
    disputed = journal.place(number, ids, statuses)
    rows = to_rows(table.take(pa.array(disputed, pa.int64()))) if disputed else []
    repeats = [row for row in rows if journal.settle(number, row)]
    check_repeats(journal, trials, repeats, warn)


def _kept_rows(journal: Journal, trials: Path, ids: Collection[str], warn: Warn) -> Iterator[Row]:
    names = {number: part.name for number, part in journal.parts().items()}
    wanted: dict[str, list[str]] = {}
    for trial_id in ids:
        held = journal.held(trial_id)
        if held is not None and held.seq is not None:
            yield journal.tail_row(held.seq)
        elif held is not None and held.part is not None:
            wanted.setdefault(names[held.part], []).append(trial_id)
    for name, sealed in wanted.items():
        try:
            table, _ = load_part(trials / name)
        except (DamagedPartError, ForeignPartError, OSError) as error:
            warn(f"{trials / name}: {error}; repeated trials were not compared with it")
            continue
        yield from to_rows(table.filter(pc.is_in(table["trial_id"], pa.array(sealed))))


def _named(row: Row) -> dict[str, object]:
    return dict(zip(COLUMNS, row, strict=True))

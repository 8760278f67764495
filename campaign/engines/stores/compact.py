"""Many small parts made into few large ones, so that a folder reads and copies faster.

The merged part is written first, then the manifest says in one line that it is there and which
parts it replaces, then the journal, then those are deleted. After a crash between any two of these
steps each row still counts once, and the next writer finishes what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from campaign.engines.stores.journal import Journal
from campaign.engines.stores.manifest import list_part, read_manifest
from campaign.engines.stores.parts import Part, load_part, write_part
from campaign.engines.stores.reader import each_once
from campaign.engines.stores.recovery import remove_parts
from campaign.engines.stores.schema import concat

COMPACT_ROWS = 250_000
"""Rows of a compacted part, at most, unless one part had more: about 200 MB while it is made."""


class Compacted(NamedTuple):
    """How many parts there were and are."""

    before: int
    after: int


def compact_parts(journal: Journal, trials: Path, rows: int = COMPACT_ROWS) -> Compacted:
    """Merge neighbouring parts of a folder whose writer holds `journal`.

    Args:
        journal: The journal; it lists every part, see `recovery.reconcile`.
        trials: The folder of the parts.
        rows: How many rows a merged part has at most.

    Raises:
        OSError: If a part cannot be read or written.
        DamagedPartError: If a part is not what was written; nothing was done to it.
    """
    listed = read_manifest(trials).parts
    held = sorted(part.name for part in journal.parts().values() if part.name in listed)
    merged = 0
    for group in _groups([listed[name] for name in held], rows):
        names = [part.name for part in group]
        tables = [load_part(trials / part.name, part.sha256)[0] for part in group]
        table = concat(tables)
        counts = pc.is_in(table["trial_id"], pa.array(journal.trials_in(names), pa.string()))
        new = write_part(trials, each_once(table.filter(counts)))
        list_part(trials, new, names)
        journal.replace_parts(new, names)
        remove_parts(trials, names)
        merged += len(group) - 1
    return Compacted(len(held), len(held) - merged)


def _groups(parts: Sequence[Part], rows: int) -> Iterator[list[Part]]:
    """Neighbours that are at least two and have no more than `rows` rows together."""
    group: list[Part] = []
    for part in parts:
        if group and sum(p.rows for p in group) + part.rows > rows:
            if len(group) > 1:
                yield group
            group = []
        group.append(part)
    if len(group) > 1:
        yield group

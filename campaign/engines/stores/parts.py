"""Sealed rows: immutable Parquet files."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from campaign.engines.stores.schema import conform, is_ours

_ORDER: list[tuple[str, Literal["ascending", "descending"]]] = [
    ("setup_id", "ascending"),
    ("ber", "ascending"),
    ("seed", "ascending"),
]
_MAGIC = b"PAR1"
_NEEDED = ("trial_id", "status")
"""Columns without which a row cannot be told from others."""


class Part(NamedTuple):
    """One file of sealed rows, as it was when it was written."""

    name: str
    rows: int
    size: int
    """Bytes."""
    sha256: str


class DamagedPartError(ValueError):
    """A file that is not what was written."""


class ForeignPartError(ValueError):
    """A Parquet file that holds something other than trial records."""


def write_part(folder: Path, table: pa.Table) -> Part:
    """Write rows as one file that is there whole or not at all, and will survive a power cut.

    Args:
        folder: Where parts are; the name continues its numbering.
        table: Rows in the columns of today, in any order.

    Raises:
        OSError: If it cannot be written; nothing that ends in ``.parquet`` is left then.
    """
    content = _encode(table)
    name = f"part-{_next_number(folder):06d}-{uuid.uuid4().hex[:8]}.parquet"
    temporary = folder / f"{name}.tmp-{uuid.uuid4().hex[:8]}"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / name)  # noqa: PTH105 - the name of the system call
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return Part(name, len(table), len(content), hashlib.sha256(content).hexdigest())


def load_part(
    path: Path, sha256: str | None = None, columns: Collection[str] | None = None
) -> tuple[pa.Table, Part]:
    """Read a file of sealed rows.

    Args:
        path: The file.
        sha256: What its digest must be, where that is known.
        columns: Which columns, in the order of today; None is all.

    Returns:
        Its rows in the columns of today, and the file as it is.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedPartError: If it cannot be read or is not what was written.
        ForeignPartError: If it holds something else.
        DriftError: If it holds rows of another meaning.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, digest):
        raise DamagedPartError(f"its sha256 is {digest[:12]}..., written was {sha256[:12]}...")
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        ours = is_ours(file.schema_arrow)
        table = file.read(columns=None if columns is None else sorted(columns))
        table = conform(table, path, columns) if ours else table
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedPartError(f"it cannot be read: {str(error).splitlines()[0]}") from None
    if not ours:
        raise ForeignPartError("it holds no trial records")
    if any(name in table.column_names and table[name].null_count for name in _NEEDED):
        raise ForeignPartError(f"rows without {' or '.join(_NEEDED)} are no trial records")
    return table, Part(path.name, len(table), len(content), digest)


def damage(path: Path, part: Part) -> str | None:
    """What is plainly wrong with a file, by its size and its last bytes; None if nothing."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - len(_MAGIC), 0))
            ending = file.read()
    except FileNotFoundError:
        return "it is missing"
    if size != part.size:
        return f"it has {size} bytes, written were {part.size}"
    return None if ending == _MAGIC else "it does not end like a Parquet file"


def set_aside(path: Path) -> str:
    """Rename a damaged file so that no reader takes it; it is kept for inspection.

    Returns:
        Its new name, or an empty text where there was no file.
    """
    if not path.exists():
        return ""
    bad = path.with_name(f"{path.name}.bad")
    if bad.exists():
        bad = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.bad")
    path.rename(bad)
    sync_folder(path.parent)
    return bad.name


def sync_folder(folder: Path) -> None:
    """Make names that were added to or changed in a folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _encode(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(table.sort_by(_ORDER), sink, compression="zstd")
    return sink.getvalue()


def _next_number(folder: Path) -> int:
    names = (re.match(r"part-(\d+)-", path.name) for path in folder.iterdir())
    return 1 + max((int(match[1]) for match in names if match), default=0)

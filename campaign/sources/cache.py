"""The cache folder, and digests of files that are not read twice."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from campaign.errors import SetupError

HASH_THREADS = 8
SETTLED_SECONDS = 2.0
"""A file younger than this may change again within one tick of its timestamp: not remembered."""


class _Stamp(NamedTuple):
    """What tells an unchanged file."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def cache_folder() -> Path:
    """``$CAMPAIGN_CACHE``, else ``$XDG_CACHE_HOME/campaign``, else ``~/.cache/campaign``.

    The folder may not exist. Everything in it can be made again; it may be deleted at any time.
    """
    own = os.environ.get("CAMPAIGN_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "campaign"


def combined_digest(*parts: object) -> str:
    """sha256 (hex) of the canonical JSON of `parts`: texts, numbers, None, and lists of these.

    Example:
        >>> combined_digest("resnet18", None)[:8]
        'e3afe444'
    """
    text = json.dumps(parts, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path, advice: str = "check the path") -> str:
    """sha256 (hex) of a file's content, remembered by path, inode, size and times.

    Raises:
        SetupError: If the file cannot be read; the text ends with `advice`.
    """
    return file_digests([path], advice)[0]


def file_digests(paths: Sequence[Path], advice: str = "check the path") -> list[str]:
    """`file_digest` of many files, with one look into the memory and several threads."""
    try:
        stamps = [_stamp(path) for path in paths]
        known = _recall(stamps)
        fresh = [stamp for stamp in dict.fromkeys(stamps) if stamp not in known]
        with ThreadPoolExecutor(HASH_THREADS) as pool:
            found = dict(zip(fresh, pool.map(_hash, fresh), strict=True))
    except OSError as error:
        raise SetupError(f"{error.filename}: {error.strerror}; {advice}") from None
    _remember(found)
    return [known.get(stamp) or found[stamp] for stamp in stamps]


def tree_digest(folder: Path, files: Iterable[Path]) -> str:
    """sha256 (hex) of the relative paths and contents of `files` below `folder`, in any order."""
    ordered = sorted(files, key=lambda path: path.relative_to(folder).as_posix())
    names = [path.relative_to(folder).as_posix() for path in ordered]
    return combined_digest(names, file_digests(ordered))


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file that appears whole or not at all, also beside other writers.

    Raises:
        OSError: If the folder cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as out:
            out.writelines(chunks)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _stamp(path: Path) -> _Stamp:
    held = path.stat()
    return _Stamp(
        str(path.resolve()), held.st_size, held.st_mtime_ns, held.st_ctime_ns, held.st_ino
    )


def _hash(stamp: _Stamp) -> str:
    with Path(stamp.path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _memory() -> sqlite3.Connection:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(folder / "digests.sqlite", timeout=5)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS stamped (path TEXT PRIMARY KEY, size INTEGER, "
        "mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER, sha256 TEXT) WITHOUT ROWID"
    )
    return connection


def _recall(stamps: Sequence[_Stamp]) -> dict[_Stamp, str]:
    """What is remembered of `stamps`; a memory that cannot be read holds nothing."""
    question = (
        "SELECT sha256 FROM stamped WHERE path = ? AND size = ? AND mtime_ns = ? "
        "AND ctime_ns = ? AND inode = ?"
    )
    try:
        with closing(_memory()) as memory:
            rows: Iterator[tuple[_Stamp, tuple[str] | None]] = (
                (stamp, memory.execute(question, stamp).fetchone()) for stamp in stamps
            )
            return {stamp: row[0] for stamp, row in rows if row is not None}
    except (sqlite3.Error, OSError):
        return {}


def _remember(found: dict[_Stamp, str]) -> None:
    """Keep what was hashed; a memory that cannot be written costs time, nothing else."""
    latest = time.time_ns() - int(SETTLED_SECONDS * 1e9)
    rows = [(*stamp, digest) for stamp, digest in found.items() if stamp.mtime_ns < latest]
    if not rows:
        return
    try:
        with closing(_memory()) as memory, memory:
            memory.executemany("INSERT OR REPLACE INTO stamped VALUES (?, ?, ?, ?, ?, ?)", rows)
    except (sqlite3.Error, OSError):
        return

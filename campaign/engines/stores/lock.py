"""One writer for a results folder: a lock that the operating system releases with the process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

from campaign.errors import LockedError

LOCK = ".lock"
"""The lock file in a results folder; it says who holds it, for people."""


class FolderLock:
    """An exclusive lock, held from construction to `release` or the end of the process.

    Args:
        folder: The results folder. Its lock file is made if it is not there, and never removed.

    Raises:
        LockedError: If another process, or another lock in this one, holds it.
        OSError: If the file cannot be opened or the file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _take(self._fd):
                raise LockedError(_refusal(path))
        except BaseException:
            os.close(self._fd)
            raise
        self._say(_owner())

    def release(self) -> None:
        """Let the next writer in."""
        self._say("")
        os.close(self._fd)

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # who holds it is a courtesy; a full disk may deny it
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, text.encode(), 0)


def is_held(folder: Path) -> bool:
    """Whether a writer has the results folder at this moment; False where that cannot be told."""
    try:
        fd = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    finally:
        os.close(fd)
    return False


def is_held_here(folder: Path) -> bool:
    """Whether a writer on this machine has the folder; also if it has not said where it is."""
    here = socket.gethostname()
    return is_held(folder) and _owner_in(folder).get("host", here) == here


def _take(fd: int) -> bool:
    for _ in range(5):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)  # it may be no writer but `is_held`, which is gone at once
        else:
            return True
    return False


def _owner_in(folder: Path) -> dict[str, str]:
    try:
        said = json.loads((folder / LOCK).read_text())
        return {key: str(said[key]) for key in ("host", "pid", "since")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _owner() -> str:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since})


def _refusal(path: Path) -> str:
    if owner := _owner_in(path.parent):
        who = f"pid {owner['pid']} on {owner['host']}, since {owner['since']}"
        how = f"stop it with `kill {owner['pid']}` on {owner['host']}"
    else:
        who, how = "it has not said which", f"find it with `fuser {path}`"
    return (
        f"{path.parent} is being written by another campaign ({who}); "
        f"wait until it ends or {how}, then run again"
    )

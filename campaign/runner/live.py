"""The driver's sign of life in a results folder, for those who watch from outside."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LIVE = "live.json"
EVERY_SECONDS = 2.0
_COUNTS = ("workers", "busy", "restarts", "retried", "queued", "in_flight")


class SignOfLife:
    """Says now and then what the driver is at; a disk that refuses costs nothing but the sign.

    Args:
        folder: The results folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._told = folder / LIVE, 0.0
        self._counts: dict[str, object] = {}

    def tell(self, status: Mapping[str, object]) -> None:
        """Write what the executor says of itself, every `EVERY_SECONDS` at most."""
        self._counts = {name: status[name] for name in _COUNTS if name in status}
        if time.monotonic() - self._told >= EVERY_SECONDS:
            self._write(ended=False)

    def end(self) -> None:
        """Say that the driver is no longer at work."""
        self._write(ended=True)

    def _write(self, *, ended: bool) -> None:
        said = {
            "time": time.time(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "ended": ended,
            **self._counts,
        }
        temporary = self._path.with_name(f".{LIVE}.{os.getpid()}")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(said), "utf-8")
            temporary.replace(self._path)
        self._told = time.monotonic()


def heartbeat(folder: Path) -> dict[str, Any] | None:
    """What the driver said last: ``time``, ``host``, ``pid``, ``ended`` and its counts.

    None where it never said anything that can be read.
    """
    try:
        said = dict(json.loads((folder / LIVE).read_text("utf-8")))
        return {**said, "time": float(said["time"]), "ended": bool(said["ended"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None

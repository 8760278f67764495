"""Find the processes of a run by a mark in their environment, and send them signals."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

MARK = "CAMPAIGN_CHAOS_RUN"
"""Environment variable that all processes of a run inherit."""


def marked(mark: str) -> list[int]:
    """Processes that carry the mark of a run."""
    return [pid for pid, _ in _processes(mark)]


def workers(mark: str) -> list[int]:
    """Workers among them that run trials just now."""
    return [pid for pid, title in _processes(mark) if title.startswith("ray::TrialActor.run")]


def send(pid: int, number: int) -> bool:
    """Send a signal; False if the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _processes(mark: str) -> Iterator[tuple[int, str]]:
    sought = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if sought in (entry / "environ").read_bytes():
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                yield int(entry.name), title
        except OSError:
            continue

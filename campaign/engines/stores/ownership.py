"""One driver for a remote results folder: an object that its owner renews, watched by the others.

No two clocks are compared. Who finds the object watches it: if it changes, its owner is alive; if
it stays as it is for several beats, its owner is gone.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from campaign.engines.stores.remote import RemoteFolder
from campaign.errors import CampaignError, LockedError

OWNER = "owner.json"
BEAT_SECONDS = 10.0
BEATS = 6
"""An owner that is silent for so many beats is gone."""


class Ownership:
    """A remote folder is ours from construction to `release`, or until `lost` says otherwise.

    Args:
        folder: The folder.
        beat_seconds: How often the owner says that it is alive, by default `BEAT_SECONDS`. All
            drivers must agree on it.

    Raises:
        LockedError: If another driver has the folder. That is known after a beat; one that died on
            another machine is waited for `BEATS` beats.
        SetupError: If the folder cannot be read or written.
    """

    def __init__(self, folder: RemoteFolder, *, beat_seconds: float | None = None) -> None:
        self._folder, self._beat_seconds = folder, beat_seconds or BEAT_SECONDS
        self._said = {
            "token": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "machine": _machine(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._beats = 0
        self.lost: str | None = None
        """Why the folder is no longer ours, None while it is."""
        self._ended = threading.Event()
        self._take()
        self._thread = threading.Thread(target=self._go_on, name="owner", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Refuse to go on where another driver has taken over.

        Raises:
            LockedError: With the name of the other.
        """
        if self.lost is not None:
            raise LockedError(self.lost)

    def release(self) -> None:
        """Let the next driver in."""
        self._ended.set()
        self._thread.join()
        if self.lost is None and self._is_ours(self._look()):
            self._folder.delete([OWNER])

    def _take(self) -> None:
        held = self._look()
        if held is not None:
            if not _has_died_here(held):
                self._watch(held)
            self._folder.delete([OWNER])
        if not self._folder.create(OWNER, self._content()):
            raise LockedError(self._refusal(self._look()))
        if not self._is_ours(found := self._look()):
            raise LockedError(self._refusal(found))

    def _watch(self, held: bytes) -> None:
        """Return when the owner has been silent for long; refuse when it is not."""
        ends = time.monotonic() + BEATS * self._beat_seconds
        while time.monotonic() < ends:
            time.sleep(self._beat_seconds / 5)
            now = self._look()
            if now is None:
                return
            if now != held:
                raise LockedError(self._refusal(now))

    def _go_on(self) -> None:
        while not self._ended.wait(self._beat_seconds):
            try:
                found = self._look()
                if not self._is_ours(found):
                    self.lost = self._refusal(found)
                    return
                self._folder.write(OWNER, self._content())
            except CampaignError:
                continue  # the network may come back; until then nobody can write there

    def _look(self) -> bytes | None:
        return self._folder.read([OWNER]).get(OWNER)

    def _content(self) -> bytes:
        self._beats += 1
        return json.dumps({**self._said, "beat": self._beats, "at": time.time()}).encode()

    def _is_ours(self, content: bytes | None) -> bool:
        return _parsed(content).get("token") == self._said["token"]

    def _refusal(self, content: bytes | None) -> str:
        owner = _parsed(content)
        who = f"pid {owner.get('pid')} on {owner.get('host')}, since {owner.get('since')}"
        return (
            f"{self._folder.url} is being written by another campaign ({who}); "
            "wait until it ends or stop it there, then run again"
        )


def is_alive(content: str) -> bool:
    """Whether an owner that said this was heard lately, by its clock and ours: for people only."""
    at = _parsed(content.encode()).get("at")
    return isinstance(at, float) and abs(time.time() - at) < BEATS * BEAT_SECONDS


def _machine() -> str:
    """What processes share that can see each other; a host name may be that of many containers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return uuid.uuid4().hex


def _has_died_here(content: bytes) -> bool:
    owner = _parsed(content)
    pid = owner.get("pid")
    if owner.get("machine") != _machine() or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _parsed(content: bytes | None) -> dict[str, object]:
    try:
        return dict(json.loads(content or b"{}"))
    except (ValueError, TypeError):
        return {}

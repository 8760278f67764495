"""A remote results folder and its copy on this machine, kept alike.

The copy is a results folder like any other: journal, parts, manifest. What is final in it goes to
the remote folder: parts first, then an object for each line of the manifest, each under a name of
its own. So a crash leaves at most a part without a line, or a line that the next driver writes.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from campaign.engines.stores.manifest import (
    MANIFEST,
    Manifest,
    add_lines,
    entry_of,
    parse_manifest,
    read_manifest,
)
from campaign.engines.stores.reader import TRIALS
from campaign.engines.stores.remote import RemoteFolder
from campaign.errors import CampaignError, LockedError

LINES = f"{TRIALS}/_manifest/"
SMALL = ("spec.yaml", "spec.resolved.json", "lock.json", "provenance.json", "after.json")
MADE = ("tables", "figures")
_SOME = 32


class Mirror:
    """The remote folder and its copy; one driver pushes, any number of readers pull.

    Args:
        remote: The remote folder.
        local: The copy; made if it is not there.
    """

    def __init__(self, remote: RemoteFolder, local: Path) -> None:
        self.remote, self.local, self.trials = remote, local, local / TRIALS
        self._sizes: dict[str, int] = {}
        self._known = Manifest()
        self._sent: dict[str, str] = {}

    def pull(self) -> dict[str, int]:
        """Bring what the remote folder has and the copy lacks.

        A part that the manifest lists and that differs is brought as it is: who opens the copy
        judges it as any other, and says so.

        Returns:
            Size of every remote object, in bytes, by its name.
        """
        self._sizes = self.remote.sizes()
        self.trials.mkdir(parents=True, exist_ok=True)
        self._known = self._remote_manifest()
        for name, content in self.remote.read([n for n in SMALL if n in self._sizes]).items():
            _place(self.local / name, content)
            self._sent[name] = _digest(content)
        wanted = [name for name in self._parts() if not (self.trials / name).exists()]
        for first in range(0, len(wanted), _SOME):
            some = [f"{TRIALS}/{name}" for name in wanted[first : first + _SOME]]
            for name, content in self.remote.read(some).items():
                _place(self.local / name, content)
        return self._sizes

    def merge_manifest(self) -> None:
        """Add to the copy's manifest what only the remote one says."""
        held, there = read_manifest(self.trials), self._known
        seen = {*held.parts, *held.replaced, *held.bad}
        lines = _entries(there, lambda name: name not in seen or name in there.replacements)
        known = held.replacements
        add_lines(self.trials, [e for e in lines if e["part"] not in known])

    def replace_manifest(self) -> None:
        """Make the copy's manifest say what the remote one says, and drop all other parts."""
        lines = _entries(self._known, lambda name: True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        _place(self.trials / MANIFEST, text.encode())
        wanted = set(self._parts())
        for path in self.trials.glob("*.parquet"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def push(self) -> None:
        """Bring what is final in the copy and the remote folder lacks; a second call does nothing.

        Raises:
            SetupError: If the remote folder cannot be written; what arrived is whole.
        """
        self.push_files()
        held = read_manifest(self.trials)
        for name, part in held.parts.items():
            key, path = f"{TRIALS}/{name}", self.trials / name
            listed = name in self._known.parts
            if self._sizes.get(key) != part.size and path.exists():
                self.remote.write(key, path.read_bytes())
                self._sizes[key] = part.size
            if not listed and key in self._sizes:
                olds = held.replacements.get(name, ())
                self._say(f"{name}.json", entry_of(part, olds))
        for name, why in held.bad.items():
            if name not in self._known.bad and f"{TRIALS}/{name}" in self._sizes:
                self._say(f"{name}.set-aside.json", {"part": name, "set_aside": why})
        self._known = held
        self._drop_replaced(held)

    def push_files(self, paths: Sequence[Path] | None = None) -> None:
        """Bring files that have changed; by default the small ones, tables and figures."""
        if paths is None:
            paths = [self.local / name for name in SMALL]
            paths += sorted(self.local.glob("report*.html"))
            paths += [p for folder in MADE for p in sorted((self.local / folder).rglob("*"))]
        for path in paths:
            if not path.is_file() or path.name.startswith("."):
                continue
            content, name = path.read_bytes(), path.relative_to(self.local).as_posix()
            if self._sent.get(name) != (digest := _digest(content)):
                self.remote.write(name, content)
                self._sent[name] = digest

    def _say(self, name: str, entry: Mapping[str, object]) -> None:
        self.remote.write(LINES + name, json.dumps(entry).encode())

    def _drop_replaced(self, held: Manifest) -> None:
        """Delete parts whose rows are in another one, which is there and listed by now."""
        gone = [name for name in held.replaced if f"{TRIALS}/{name}" in self._sizes]
        kept = {old for new in held.parts for old in held.replacements.get(new, ())}
        for name in (name for name in gone if name in kept):
            self.remote.delete([f"{TRIALS}/{name}", f"{LINES}{name}.json"])
            del self._sizes[f"{TRIALS}/{name}"]

    def _parts(self) -> list[str]:
        """Names of the remote parts whose rows count, also of those that no line lists yet."""
        bad, replaced = self._known.bad, self._known.replaced
        names = (name.removeprefix(f"{TRIALS}/") for name in sorted(self._sizes))
        parts = (name for name in names if "/" not in name and name.endswith(".parquet"))
        return [name for name in parts if name not in bad and name not in replaced]

    def _remote_manifest(self) -> Manifest:
        names = sorted(name for name in self._sizes if name.startswith(LINES))
        copied = f"{TRIALS}/{MANIFEST}"  # of a local folder that was copied there as it is
        found = self.remote.read([*([copied] if copied in self._sizes else []), *names])
        lines = found.pop(copied, b"").decode("utf-8", "replace").splitlines()
        said = [content.decode("utf-8", "replace") for _, content in sorted(found.items())]
        return parse_manifest([*lines, *sorted(said, key=lambda line: '"set_aside"' in line)])


class Pusher:
    """Pushes a mirror from time to time, in a thread of its own.

    Args:
        mirror: The mirror; its manifest is merged.
        seconds: How often.
        check: Raises LockedError where the remote folder is no longer ours.
        warn: Told once of each kind of trouble; it goes on all the same.
    """

    def __init__(
        self,
        mirror: Mirror,
        seconds: float,
        check: Callable[[], None],
        warn: Callable[[str], None],
    ) -> None:
        self._mirror, self._seconds, self._check, self._warn = mirror, seconds, check, warn
        self._told = set[str]()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="pusher", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop, and bring what is left.

        Raises:
            SetupError: If the remote folder cannot be written.
            LockedError: If it is no longer ours.
        """
        self._ended.set()
        self._thread.join()
        self._check()
        self._mirror.push()

    def _go_on(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self._check()
                self._mirror.push()
            except LockedError as error:
                self._tell(f"{error}; nothing more is brought there")
                return
            except (CampaignError, OSError) as error:
                self._tell(f"not brought yet, to be tried again; {error}")

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._warn(f"warning: {line}")


def _entries(manifest: Manifest, wanted: Callable[[str], bool]) -> list[dict[str, object]]:
    listed = [
        entry_of(part, manifest.replacements.get(name, ()))
        for name, part in manifest.parts.items()
        if wanted(name)
    ]
    bad: list[dict[str, object]] = [
        {"part": n, "set_aside": why} for n, why in manifest.bad.items() if wanted(n)
    ]
    return [*listed, *bad]


def _place(path: Path, content: bytes) -> None:
    """Write a file of the copy so that a crash leaves none or a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    temporary.write_bytes(content)
    temporary.replace(path)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

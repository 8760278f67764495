"""Which sealed parts a results folder should have: one line for each change, only ever added to.

A part is listed when it is on the disk, is set aside when it is damaged, and is replaced when a
part that lists it under ``replaces`` holds all its rows. A replaced part counts for nothing, there
or not; it comes back, with its rows if the file is still there, when its replacement is set aside.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from campaign.engines.stores.parts import Part

MANIFEST = "_manifest.jsonl"


@dataclass(frozen=True)
class Manifest:
    """What the lines of a manifest come to.

    Args:
        parts: The parts that should be there, by name.
        replaced: Parts whose rows are in another one.
        bad: Why parts were set aside, by name.
        replacements: The parts that replace others, with the names of those, oldest first.
    """

    parts: Mapping[str, Part] = field(default_factory=dict)
    replaced: frozenset[str] = frozenset()
    bad: Mapping[str, str] = field(default_factory=dict)
    replacements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder of parts; lines that a crash tore are passed over."""
    try:
        return parse_manifest((folder / MANIFEST).read_text(errors="replace").splitlines())
    except FileNotFoundError:
        return Manifest()


def parse_manifest(lines: Iterable[str]) -> Manifest:
    """What lines come to, in their order; those that are none are passed over.

    Example:
        >>> old = json.dumps(entry_of(Part("old.parquet", 1, 10, "ab")))
        >>> new = json.dumps(entry_of(Part("new.parquet", 1, 10, "cd"), ["old.parquet"]))
        >>> found = parse_manifest([old, new, "torn {"])
        >>> list(found.parts), sorted(found.replaced)
        (['new.parquet'], ['old.parquet'])
    """
    listed: dict[str, Part] = {}
    bad: dict[str, str] = {}
    replacements: dict[str, tuple[str, ...]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            name = _plain(entry["part"])
            if entry.get("set_aside"):
                bad[name] = str(entry["set_aside"])
                listed.pop(name, None)
                replacements.pop(name, None)
                continue
            part = Part(name, int(entry["rows"]), int(entry["bytes"]), str(entry["sha256"]))
            replaces = tuple(map(_plain, entry.get("replaces", ())))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        listed[name] = part
        bad.pop(name, None)
        if replaces:
            replacements[name] = replaces
    replaced = frozenset(name for names in replacements.values() for name in names)
    wanted = {name: part for name, part in listed.items() if name not in replaced}
    return Manifest(wanted, replaced, bad, replacements)


def entry_of(part: Part, replaces: Sequence[str] = ()) -> dict[str, object]:
    """What a manifest says of a part that is there."""
    entry = {"part": part.name, "rows": part.rows, "bytes": part.size, "sha256": part.sha256}
    return {**entry, **({"replaces": list(replaces)} if replaces else {})}


def list_part(folder: Path, part: Part, replaces: Sequence[str] = ()) -> None:
    """Add a part to the manifest, durably; it counts, and those it replaces no longer do."""
    add_lines(folder, [entry_of(part, replaces)])


def unlist_part(folder: Path, name: str, reason: str) -> None:
    """Say in the manifest that a part is no longer there, durably."""
    add_lines(folder, [{"part": name, "set_aside": reason}])


def add_lines(folder: Path, entries: Sequence[Mapping[str, object]]) -> None:
    """Add entries as they are, durably."""
    path = folder / MANIFEST
    if not entries:
        return
    with path.open("a+b") as file:
        whole = file.tell() == 0 or _last_byte(path) == b"\n"
        file.write(b"" if whole else b"\n")
        file.writelines(json.dumps(entry).encode() + b"\n" for entry in entries)
        file.flush()
        os.fsync(file.fileno())


def _plain(name: object) -> str:
    """The name of a part; one that leads out of the folder is none, for files are moved by it."""
    if not isinstance(name, str) or not name.endswith(".parquet") or {"/", "\0"} & set(name):
        raise ValueError(f"{name!r} is no name of a part")
    return name


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read()

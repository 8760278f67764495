"""A spec file, the files that it extends, and what the command line sets: one tree."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath

from campaign.registry import nearest
from campaign.spec.choice import Path
from campaign.spec.document import Node, Place, Problem, dotted, parse

_CHOICES = {
    ("dataset",),
    ("fault",),
    ("models",),
    ("grid", "dtype"),
    ("grid", "method"),
    ("grid", "vary", "fault"),
}
"""Where a mapping is a name with options: another name replaces, the same name merges."""
_KEY = re.compile(r"[^.\[\]=]+(\.[^.\[\]=]+|\[\d+\])*")


@dataclass
class Layers:
    """One tree and where it comes from.

    Args:
        environment: Variables for ``${NAME}``.
        root: The merged tree; None where there is none.
        text: The text of the first file.
        sources: Every file, as it is called in messages, in the order of reading.
        problems: What is wrong so far.
    """

    environment: Mapping[str, str]
    root: Node | None = None
    text: str = ""
    sources: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def read(self, shown: str) -> None:
        """Read the file `shown` and what it extends."""
        text = read_text(shown, Place(shown), ())
        if isinstance(text, Problem):
            self.problems.append(text)
            return
        self.text = text
        self.root = self._extended(shown, text, [FilePath(shown).resolve()])

    def set(self, override: str) -> None:
        """Set one value from ``key.path=value``, the value in YAML."""
        key, equals, text = override.partition("=")
        if not equals or not _KEY.fullmatch(key):
            said = f"got {override!r}; allowed: KEY=VALUE, such as grid.seeds=5"
            self.problems.append(Problem(Place("--set"), (), said))
            return
        parts = re.findall(r"[^.\[\]]+", key)
        path = tuple(int(part) if part.isdecimal() else part for part in parts)
        node, problems = parse(text, f"--set {dotted(path)}", self.environment, placed=False)
        self.problems += [problem._replace(path=(*path, *problem.path)) for problem in problems]
        if node is None or self.root is None:
            return
        changed = _with(self.root, path, node, ())
        if isinstance(changed, Node):
            self.root = changed
        else:
            self.problems.append(changed)

    def _extended(self, shown: str, text: str, chain: list[FilePath]) -> Node | None:
        self.sources.append(shown)
        root, problems = parse(text, shown, self.environment)
        self.problems += problems
        if root is None:
            return None
        if not isinstance(root.value, dict):
            got = "is empty" if root.value is None else f"is a {_kind(root)}"
            said = f"{got}; allowed: a mapping with name, models, dataset, grid"
            self.problems.append(Problem(root.place, (), said))
            return None
        above = root.value.pop("extends", None)
        return root if above is None else self._merged(shown, root, above, chain)

    def _merged(self, shown: str, root: Node, above: Node, chain: list[FilePath]) -> Node | None:
        if not isinstance(above.value, str):
            said = f"got {above.plain()!r}; allowed: the path of another spec, relative to this one"
            self.problems.append(Problem(above.place, ("extends",), said))
            return None
        path = os.path.normpath(FilePath(shown).parent / above.value)
        real = FilePath(path).resolve()
        if real in chain:
            names = " -> ".join(file.name for file in [*chain[chain.index(real) :], real])
            self.problems.append(Problem(above.place, ("extends",), f"goes in a circle: {names}"))
            return None
        text = read_text(path, above.place, ("extends",))
        if isinstance(text, Problem):
            self.problems.append(text)
            return None
        base = self._extended(path, text, [*chain, real])
        return None if base is None else merge(base, root, ())


def merge(base: Node, over: Node, path: Path) -> Node:
    """`over` upon `base`: mappings are merged key by key, anything else is replaced."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    if path in _CHOICES and set(base.value) - {"name"} != set(over.value) - {"name"}:
        return over
    merged = dict(base.value)
    for key, node in over.value.items():
        merged[key] = merge(merged[key], node, (*path, key)) if key in merged else node
    return Node(merged, over.place)


def read_text(shown: str, place: Place, path: Path) -> str | Problem:
    """The text of a file, or why there is none, told at `place`."""
    try:
        raw = FilePath(shown).read_bytes()
    except IsADirectoryError:
        return Problem(place, path, _about(place, shown, f"is a folder{_holding(FilePath(shown))}"))
    except (FileNotFoundError, NotADirectoryError):
        return Problem(place, path, _about(place, shown, _missing(FilePath(shown))))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Problem(place, path, _about(place, shown, f"cannot be read: {reason}"))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        said = f"is no UTF-8 text: byte 0x{raw[error.start]:02x}"
        return Problem(Place(shown, line, column), (), said)


def _about(place: Place, shown: str, text: str) -> str:
    return text if place.source == shown else f"{shown} {text}"


def _specs(folder: FilePath) -> list[str]:
    found = (file.name for file in folder.glob("*") if file.suffix in (".yaml", ".yml"))
    return sorted(found)


def _missing(path: FilePath) -> str:
    if not path.parent.is_dir():
        return f"does not exist: there is no folder {str(path.parent)!r}"
    known = _specs(path.parent)
    return f"does not exist{nearest(path.name, known)}"


def _holding(folder: FilePath) -> str:
    names = ", ".join(_specs(folder)[:10])
    return f"; name a file in it: {names}" if names else " without any spec; name a YAML file"


def _kind(node: Node) -> str:
    return "list" if isinstance(node.value, list) else f"lone value ({node.value!r})"


def _with(node: Node, keys: Path, value: Node, at: Path) -> Node | Problem:
    """The tree with `value` below `keys`; mappings on the way are made where there is nothing."""
    if not keys:
        return value
    first, rest = keys[0], keys[1:]
    held = {} if node.value is None else node.value
    if isinstance(held, list) and isinstance(first, int) and first < len(held):
        below = _with(held[first], rest, value, (*at, first))
        if isinstance(below, Problem):
            return below
        return replace(node, value=[*held[:first], below, *held[first + 1 :]])
    if not isinstance(held, dict) or isinstance(first, int):
        what = "a mapping" if isinstance(held, dict) else repr(held)
        what = f"a list of {len(held)}" if isinstance(held, list) else what
        said = f"{dotted(at) or 'the spec'} is {what}, so this cannot be set; set it as a whole"
        return Problem(value.place, (*at, *keys), said)
    below = _with(held.get(first, Node(None, value.place)), rest, value, (*at, first))
    if isinstance(below, Problem):
        return below
    return replace(node, value={**held, first: below})

"""YAML text -> a tree of plain values that know where they stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import yaml

from campaign.spec.choice import Path

Scalar: TypeAlias = "str | int | float | bool | None"
MOST_VALUES = 100_000
"""Aliases can make a small file stand for a huge tree; more values than this are refused."""
DEEPEST = 50
"""Lists and mappings within each other."""
_DEEP = f"nests deeper than {DEEPEST} lists and mappings"
_TAG = "tag:yaml.org,2002:"
_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|)")
_SAYS = {
    "found character '\\t' that cannot start any token": "a tab cannot indent; use spaces",
    "but found another document": "a second document begins; allowed: one, remove this ---",
}
_TAGS = {f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq")}
_NUMBERS = {
    f"{_TAG}int": r"[-+]?(?:0x[0-9a-fA-F]+|0|[1-9][0-9_]*)",
    f"{_TAG}float": r"[-+]?(?:(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?|\.(?:inf|Inf|INF))"
    r"|\.(?:nan|NaN|NAN)",
}
_REPLACED = (*_NUMBERS, f"{_TAG}timestamp", f"{_TAG}value")


class _Loader(yaml.SafeLoader):
    """The safe loader with the numbers of YAML 1.2: ``1e-6`` is one, ``1:30`` is none, nor a date.

    Editors read a spec so; in YAML 1.1 ``1e-6`` is a text and ``1:30`` is 90.
    """


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag not in _REPLACED]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})$"), list("-+.0123456789"))


class _TooLargeError(Exception):
    """A document that is larger or deeper than any spec; says which."""


class Place(NamedTuple):
    """Where a value stands; line 0 is no place in particular."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


class Problem(NamedTuple):
    """Something wrong with a spec: where, at which key, and what."""

    place: Place
    path: Path
    text: str

    @property
    def line(self) -> str:
        """Such as ``x.yaml:6:3: grid.bre: unknown key 'bre'``."""
        key = dotted(self.path)
        named = key and self.place.source != f"--set {key}"
        return f"{self.place}: {key}: {self.text}" if named else f"{self.place}: {self.text}"


@dataclass(frozen=True)
class Node:
    """A value and its place: that of its key in a mapping, of the value itself elsewhere."""

    value: Scalar | list[Node] | dict[str, Node]
    place: Place

    def plain(self) -> Any:  # noqa: ANN401
        """The value without places: mappings, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value


def dotted(path: Path) -> str:
    """A path as one writes it.

    Example:
        >>> dotted(("grid", "method", 0, "saf"))
        'grid.method[0].saf'
    """
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def parse(
    text: str, source: str, environment: Mapping[str, str], *, placed: bool = True
) -> tuple[Node | None, list[Problem]]:
    """Read one YAML document.

    Args:
        text: The document.
        source: What places are called, such as the path of the file.
        environment: Variables that ``${NAME}`` and ``${NAME:-default}`` stand for.
        placed: Whether lines and columns mean anything to the reader.

    Returns:
        The tree, or None where the text is no YAML, and what is wrong. A text with problems
        may still have a tree: more can then be said about it.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        return None, [_syntax(error, text, source, placed)]
    except RecursionError:
        return None, [Problem(Place(source), (), _DEEP)]
    builder = _Builder(loader, source, environment, placed)
    if root is None:
        return Node(None, builder.place(None)), []
    try:
        return builder.build(root, (), builder.place(root)), builder.problems
    except _TooLargeError as error:
        return None, [Problem(Place(source), (), str(error))]


def _syntax(error: yaml.YAMLError, text: str, source: str, placed: bool) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line, column = error.problem_mark.line, error.problem_mark.column
        said = _SAYS.get(str(error.problem), f"is no YAML: {error.problem or error.context}")
        if "'{'" in said and "${" in text.split("\n")[line]:
            said += "; quote a ${NAME} that stands inside [ ] or { }"
    else:
        at = int(getattr(error, "position", 0))
        line, column = text.count("\n", 0, at), at - text.rfind("\n", 0, at) - 1
        said = f"has a character that YAML does not allow: {text[at : at + 1]!r}"
    return Problem(Place(source, line + 1, column + 1) if placed else Place(source), (), said)


@dataclass
class _Builder:
    loader: yaml.SafeLoader
    source: str
    environment: Mapping[str, str]
    placed: bool
    problems: list[Problem] = field(default_factory=list)
    _count: int = 0
    _open: list[yaml.Node] = field(default_factory=list)

    def place(self, node: yaml.Node | None) -> Place:
        if not self.placed:
            return Place(self.source)
        if node is None:
            return Place(self.source, 1, 1)
        return Place(self.source, node.start_mark.line + 1, node.start_mark.column + 1)

    def build(self, node: yaml.Node, path: Path, place: Place) -> Node:
        self._count += 1
        if node in self._open:
            return self._wrong(place, path, "an alias stands inside of its own anchor")
        if self._count > MOST_VALUES:
            raise _TooLargeError(f"has more than {MOST_VALUES} values")
        if len(self._open) > DEEPEST:
            raise _TooLargeError(_DEEP)
        if node.tag not in _TAGS:
            return self._wrong(place, path, f"unknown tag {node.tag!r}; leave it out")
        self._open.append(node)
        if isinstance(node, yaml.MappingNode):
            built = Node(self._mapping(node, path), place)
        elif isinstance(node, yaml.SequenceNode):
            built = Node(
                [self.build(v, (*path, i), self.place(v)) for i, v in enumerate(node.value)], place
            )
        else:
            assert isinstance(node, yaml.ScalarNode)
            built = Node(self._scalar(node, path, place), place)
        self._open.pop()
        return built

    def _wrong(self, place: Place, path: Path, text: str) -> Node:
        self.problems.append(Problem(place, path, text))
        return Node(None, place)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in node.value:
            place = self.place(key)
            if key.tag == f"{_TAG}merge":
                for name, child in self._merged(value, path, place).items():
                    merged.setdefault(name, child)
            elif not isinstance(key, yaml.ScalarNode):
                self._wrong(place, path, "a key is a text, not a list or a mapping")
            elif key.value in own:
                first = own[key.value].place.line
                text = f"duplicate key {key.value!r}; first given on line {first}"
                self._wrong(place, (*path, key.value), text)
            else:
                own[key.value] = self.build(value, (*path, key.value), place)
        return {**merged, **own}

    def _merged(self, node: yaml.Node, path: Path, place: Place) -> dict[str, Node]:
        """What ``<<`` brings in: of several mappings, the first one that has a key."""
        brought: dict[str, Node] = {}
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            held = self.build(part, path, place).value
            if not isinstance(held, dict):
                self._wrong(place, path, "<< takes an alias of a mapping, or a list of these")
                return {}
            brought = {**held, **brought}
        return brought

    def _scalar(self, node: yaml.ScalarNode, path: Path, place: Place) -> Scalar:
        value = self._constructed(node, path, place)
        if not isinstance(value, str) or "${" not in value:
            return value
        filled, changed = self._filled(value, path, place)
        if node.style is not None or not changed:
            return filled
        tag = self.loader.resolve(yaml.ScalarNode, filled, (True, False))  # type: ignore[no-untyped-call]
        plain = yaml.ScalarNode(tag, filled, node.start_mark, node.end_mark)
        return self._constructed(plain, path, place)

    def _constructed(self, node: yaml.ScalarNode, path: Path, place: Place) -> Scalar:
        try:
            value = self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError):
            kind = node.tag.removeprefix(_TAG)
            self._wrong(place, path, f"got {node.value!r}; it cannot be read as {kind}")
            return None
        return value if isinstance(value, int | float) or value is None else str(value)

    def _filled(self, text: str, path: Path, place: Place) -> tuple[str, bool]:
        """The text with ``${NAME}`` replaced, and whether anything but an escape was."""
        changed = False

        def fill(match: re.Match[str]) -> str:
            nonlocal changed
            name, default = match.groups()
            if match.group() == "$${":
                return "${"
            if name is None:
                text = "${ begins a variable; allowed: ${NAME}, ${NAME:-default}, or $${ for a ${"
                self._wrong(place, path, text)
            elif name not in self.environment and default is None:
                text = f"the variable {name} is not set; set it, or write ${{{name}:-default}}"
                self._wrong(place, path, text)
            changed = True
            return self.environment.get(name) or default or "" if name is not None else ""

        return _REFERENCE.sub(fill, text), changed

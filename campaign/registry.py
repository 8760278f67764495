"""Names in a spec -> classes: one registry for each kind of thing a name can mean."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from campaign.errors import SetupError

T = TypeVar("T")


class UnknownNameError(LookupError):
    """A name that no class claims.

    Args:
        kind: What was looked up, such as ``"dtype"``.
        name: The name that was asked for.
        known: Every name there is.
        meant: What was probably meant, or None for the nearest known name.
    """

    def __init__(self, kind: str, name: str, known: list[str], meant: str | None = None) -> None:
        self.kind, self.name, self.known = kind, name, known
        hint = nearest(name, known) if meant is None else f" (did you mean {meant!r}?)"
        super().__init__(f"unknown {kind} {name!r}{hint}; known: {', '.join(known)}")


class OptionError(ValueError):
    """Options that a class does not take.

    Args:
        problems: Pairs of the path below the options and one line of text.
    """

    def __init__(self, problems: list[tuple[tuple[str | int, ...], str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{'.'.join(map(str, p))}: {m}" for p, m in problems))


def nearest(name: str, known: list[str]) -> str:
    """Say which known name was probably meant, or nothing.

    Example:
        >>> nearest("fp23", ["fp32", "fp16"])
        " (did you mean 'fp32'?)"
    """
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


class Registry(Generic[T]):
    """The classes of one kind, found by name.

    A class is claimed under its class attribute ``name``. A class with an attribute ``pattern``
    (a regular expression with named groups) stands for a family such as ``q2_5``, ``q3_12``; the
    groups become its options. Modules of `package` are imported at the first look-up, and so
    are the entry points of group ``campaign.<kinds>`` that other distributions declare.

    Args:
        kind: What is looked up, as users call it.
        package: The package whose modules hold the classes.
        group: The entry-point group for outsiders.
    """

    def __init__(self, kind: str, package: str, group: str) -> None:
        self.kind, self.package, self.group = kind, package, group
        self._classes: dict[str, type[T]] = {}
        self._complete = False

    def register(self, cls: type[T]) -> type[T]:
        """Claim ``cls.name`` for `cls`; raises ValueError on a second claim."""
        name = str(cls.name)  # type: ignore[attr-defined]
        held = self._classes.get(name)
        if held is not None and (held.__module__, held.__qualname__) != (
            cls.__module__,
            cls.__qualname__,
        ):
            raise ValueError(f"{self.kind} {name!r} is claimed by {held} and by {cls}")
        self._classes[name] = cls
        return cls

    def names(self) -> list[str]:
        """Every registered name, sorted; families by their template such as ``q{m}_{n}``."""
        self._load()
        return sorted(self._classes)

    def __iter__(self) -> Iterator[type[T]]:
        return iter(self._classes[name] for name in self.names())

    def find(self, name: str) -> tuple[type[T], dict[str, str]]:
        """The class that answers to `name`, and the options that the name itself states.

        Raises:
            UnknownNameError: If no class answers to `name`.
            ValueError: If more than one does.
        """
        self._load()
        found = [
            (cls, stated)
            for held, cls in sorted(self._classes.items())
            if (stated := _stated(cls, held, name)) is not None
        ]
        if len(found) > 1:
            claims = " and by ".join(str(cls) for cls, _ in found)
            raise ValueError(f"{self.kind} {name!r} is claimed by {claims}")
        if not found:
            raise UnknownNameError(self.kind, name, self.names(), self._meant(name))
        return found[0]

    def _meant(self, name: str) -> str | None:
        """A member of a family that is spelt a little differently, such as ``Q2.5`` for q2_5."""
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
        spelt = [plain, *(m for cls in self._classes.values() for m in _members(cls, plain))]
        for candidate in spelt:
            if candidate != name and any(
                _stated(cls, held, candidate) is not None for held, cls in self._classes.items()
            ):
                return candidate
        return None

    def make(self, name: str, options: Mapping[str, Any] | None = None) -> T:
        """The object that `name` with `options` stands for.

        Raises:
            UnknownNameError: If no class answers to `name`.
            OptionError: If the class does not take these options.
        """
        cls, stated = self.find(name)
        taken = {f.name for f in fields(cls)} - set(stated)  # type: ignore[arg-type]
        given = {key: value for key, value in (options or {}).items() if key in taken}
        problems = _stray([key for key in options or {} if key not in taken], options_of(cls))
        try:
            made = TypeAdapter(cls).validate_python({**stated, **given})
        except ValidationError as error:
            raise OptionError([*problems, *_problems(error, cls, stated)]) from None
        if problems:
            raise OptionError(problems)
        return made

    def _load(self) -> None:
        if self._complete:
            return
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        for point in entry_points(group=self.group):
            try:
                self.register(point.load())
            except Exception as error:
                origin = point.dist.name if point.dist else "an unknown distribution"
                raise SetupError(
                    f"{self.group}: entry point {point.name!r} of {origin} cannot be used: "
                    f"{error}; repair or uninstall {origin}"
                ) from error
        self._complete = True


def _stated(cls: type[Any], held: str, name: str) -> dict[str, str] | None:
    """The options that `name` states where `cls`, registered as `held`, answers to it."""
    pattern = getattr(cls, "pattern", None)
    if pattern is None:
        return {} if name == held else None
    match = re.fullmatch(pattern, name)
    return None if match is None else match.groupdict()


def _members(cls: type[Any], name: str) -> list[str]:
    """Members of a family that end in `name` behind a slash, where the class can list them."""
    members = getattr(cls, "members", None)
    return [m for m in members() if m.rpartition("/")[2] == name] if members else []


def options_of(cls: type[Any]) -> list[str]:
    """The options a spec may give to a class: its fields, less those its name states."""
    pattern = re.compile(getattr(cls, "pattern", ""))
    axis = {"t"} if getattr(cls, "takes_t", False) else set()
    return [f.name for f in fields(cls) if f.name not in {*pattern.groupindex, *axis}]


def _problems(
    error: ValidationError, cls: type[Any], stated: Mapping[str, str]
) -> list[tuple[tuple[str | int, ...], str]]:
    known = options_of(cls)
    return [
        (() if set(e["loc"]) & set(stated) else tuple(e["loc"]), sentence(e, known))
        for e in error.errors(include_url=False)
    ]


def _stray(keys: list[Any], known: list[str]) -> list[tuple[tuple[str | int, ...], str]]:
    return [((key,), sentence({"type": "extra_forbidden", "loc": (key,)}, known)) for key in keys]


_SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda e: "is required",
    "literal_error": lambda e: f"got {e['input']!r}, allowed: {e['ctx']['expected']}",
}


def sentence(error: Mapping[str, Any], known: list[str]) -> str:
    """One Pydantic error as `got, allowed`, with the nearest known name for a stray key."""
    kind = str(error["type"])
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        name = str(error["loc"][-1])
        allowed = ", ".join(known) if known else "none"
        return f"unknown key {name!r}{nearest(name, known)}; allowed: {allowed}"
    if kind in _SENTENCES:
        return _SENTENCES[kind](error)
    message = str(error["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return message
    return f"got {error['input']!r}; {message[0].lower()}{message[1:]}"


def describe(name: str, options: Mapping[str, object]) -> str:
    """A name with the options that are not defaults.

    Example:
        >>> describe("int8", {"per": "channel"})
        'int8(per=channel)'
    """
    stated = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"{name}({stated})" if stated else name


def changed_options(value: object) -> dict[str, object]:
    """The fields of a frozen dataclass that differ from their defaults, in field order."""
    named = {f.name: getattr(value, f.name) for f in fields(value)}  # type: ignore[arg-type]
    defaults = {f.name: f.default for f in fields(value)}  # type: ignore[arg-type]
    return {key: held for key, held in named.items() if held != defaults[key]}

"""A name with options in a spec -> the object it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic_core import PydanticCustomError

from campaign.registry import OptionError, Registry, UnknownNameError

T = TypeVar("T")
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Choice(Generic[T]):
    """What a spec chose.

    Args:
        value: The object.
        title: The name that the spec gives it with ``name:``, or None.
        raw: The choice in the form ``{name: {options}}``, to be written back.
    """

    value: T
    title: str | None
    raw: dict[str, dict[str, Any]]


def problems_error(problems: list[tuple[Path, str]]) -> PydanticCustomError:
    """One Pydantic error that stands for several located lines (path below the field, text)."""
    return PydanticCustomError("located", "{text}", {"problems": problems, "text": problems[0][1]})


def each(parse: Callable[[Any], T], values: Iterable[Any]) -> list[T]:
    """Every value parsed; the problems of all of them in one error, each below its index."""
    parsed: list[T] = []
    problems: list[tuple[Path, str]] = []
    for place, value in enumerate(values):
        try:
            parsed.append(parse(value))
        except PydanticCustomError as error:
            below = (error.context or {})["problems"]
            problems += [((place, *path), text) for path, text in below]
    if problems:
        raise problems_error(problems)
    return parsed


def chooser(registry: Registry[T], *, titled: bool = False) -> Callable[[Any], Choice[T]]:
    """A validator of ``name`` or ``{name: {options}}``; `titled` allows ``name: title`` beside."""

    def choose(raw: Any) -> Choice[T]:  # noqa: ANN401
        if isinstance(raw, Choice):
            return raw
        name, options, title = _parts(raw, registry.kind, titled)
        problems: list[tuple[Path, str]] = []
        try:
            cls, _ = registry.find(name)
            if "t" in options and getattr(cls, "takes_t", False):
                problems.append(((name, "t"), "t is an axis: give it as grid.t"))
            given = {key: options[key] for key in options if key != "t" or not problems}
            value = registry.make(name, given)
        except UnknownNameError as error:
            raise problems_error([((), str(error))]) from None
        except OptionError as error:
            problems += [((name, *path), text) for path, text in error.problems]
        if problems:
            raise problems_error(problems)
        return Choice(value, title, {name: dict(options)})

    return choose


def _parts(raw: object, kind: str, titled: bool) -> tuple[str, Mapping[str, Any], str | None]:
    if isinstance(raw, str):
        return raw, {}, None
    if not isinstance(raw, Mapping):
        raise problems_error(
            [((), f"got {raw!r}; allowed: a {kind} name, or {{name: {{options}}}}")]
        )
    rest = dict(raw)
    title = rest.pop("name", None) if titled else None
    if title is not None and not (isinstance(title, str) and title):
        raise problems_error([(("name",), f"got {title!r}; allowed: a text")])
    if len(rest) != 1:
        keys = ", ".join(map(str, rest)) or "none"
        raise problems_error([((), f"a {kind} is one name with its options; got keys: {keys}")])
    name, options = next(iter(rest.items()))
    if options is not None and not isinstance(options, Mapping):
        raise problems_error([((str(name),), f"got {options!r}; allowed: a mapping of options")])
    return str(name), options or {}, title

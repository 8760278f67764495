"""What validation found -> one located line for each problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from campaign.registry import nearest, sentence
from campaign.spec.campaign import CampaignSpec
from campaign.spec.choice import Path
from campaign.spec.document import Node, Place, Problem

Details = Mapping[str, Any]
LONGEST = 60
_NUMBER = "a number"
_WHOLE = "a whole number"
_ALLOWED: dict[str, Callable[[Details], str]] = {
    "bool_parsing": lambda e: "true or false",
    "bool_type": lambda e: "true or false",
    "finite_number": lambda e: "a finite number",
    "float_parsing": lambda e: _NUMBER,
    "float_type": lambda e: _NUMBER,
    "greater_than": lambda e: f"above {e['ctx']['gt']:g}",
    "greater_than_equal": lambda e: f"at least {e['ctx']['ge']:g}",
    "int_from_float": lambda e: _WHOLE,
    "int_parsing": lambda e: _WHOLE,
    "int_parsing_size": lambda e: _WHOLE,
    "int_type": lambda e: _WHOLE,
    "less_than_equal": lambda e: f"at most {e['ctx']['le']:g}",
    "literal_error": lambda e: ", ".join(_names(e)),
    "not_a_number": lambda e: _NUMBER,
    "string_type": lambda e: "a text",
    "too_short": lambda e: f"at least {e['ctx']['min_length']}",
}


def validation_problems(error: ValidationError, root: Node) -> list[Problem]:
    """Every error of Pydantic at its place in the tree; errors of one value in one line."""
    problems: list[Problem] = []
    groups: dict[Path, list[Details]] = {}
    for details in error.errors(include_url=False):
        loc, kind = details["loc"], details["type"]
        if kind == "located":
            below = details["ctx"]["problems"]
            problems += [located(root, (*loc, *path), text) for path, text in below]
        else:
            path, _ = find(root, loc, keep=kind == "missing")
            groups.setdefault(path, []).append(details)
    problems += [located(root, path, _text(path, group)) for path, group in groups.items()]
    return problems


def located(root: Node, path: Path, text: str) -> Problem:
    """What `text` says about the value at `path`, at its place in the tree."""
    true_path, place = find(root, path, keep=True)
    return Problem(place, true_path, text)


def find(root: Node, path: Path, *, keep: bool) -> tuple[Path, Place]:
    """The path as the author wrote it, and the place it leads to.

    Short forms have fewer steps than the validated spec (a lone value stands for a list), and
    Pydantic adds the branches of unions: such steps are dropped.

    Args:
        root: The tree.
        path: Keys and indices from the root.
        keep: Whether a key that a mapping lacks is meant (a missing one) or no step at all.

    Returns:
        The path, and the place of the last value on it that exists.
    """
    node, found = root, list[str | int]()
    for step, part in enumerate(path):
        held = node.value
        if isinstance(held, dict) and str(part) in held:
            node = held[str(part)]
        elif isinstance(held, list) and isinstance(part, int) and part < len(held):
            node = held[part]
        elif isinstance(held, dict) and isinstance(part, str) and keep:
            return (*found, *path[step:]), node.place
        else:
            continue
        found.append(part if isinstance(held, list) else str(part))
    return tuple(found), node.place


def known_keys(path: Path) -> list[str]:
    """The keys of the section that `path` leads to; empty where it is no section."""
    section = _section_at(path)
    own = list(section.model_fields) if section else []
    return [*own, "extends"] if section is CampaignSpec else own


def _section_at(path: Path) -> type[BaseModel] | None:
    section: type[BaseModel] | None = CampaignSpec
    for part in path:
        if isinstance(part, str) and section is not None:
            field = section.model_fields.get(part)
            section = None if field is None else _section_in(field.annotation)
    return section


def _section_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_section_in(part) for part in get_args(annotation))
    return next((section for section in inner if section is not None), None)


def _text(path: Path, group: Sequence[Details]) -> str:
    first = group[0]
    kind, got = first["type"], first["input"]
    if kind == "missing":
        return f"is required: {_description(path)}"
    if kind == "extra_forbidden":
        return sentence({**first, "loc": path}, known_keys(path[:-1]))
    if kind in ("model_type", "model_attributes_type"):
        keys = ", ".join(known_keys(path))
        return f"got {_short(got)}; allowed: a mapping with keys of {keys}"
    if any(details["type"] not in _ALLOWED for details in group):
        return sentence(first, [])
    allowed = dict.fromkeys(_ALLOWED[details["type"]](details) for details in group)
    names = [name for details in group for name in _names(details)]
    near = nearest(got, names) if isinstance(got, str) else ""
    quote = kind == "string_type" and isinstance(got, int | float)
    return f"got {_short(got)}{near}; allowed: {' or '.join(allowed)}{' (quote it)' * quote}"


def _description(path: Path) -> str:
    section = _section_at(path[:-1])
    field = section.model_fields.get(str(path[-1])) if section else None
    text = (field.description if field else None) or "a value"
    return text[0].lower() + text[1:].rstrip(".")


def _names(details: Details) -> list[str]:
    """The names that a literal allows."""
    if details["type"] != "literal_error":
        return []
    return re.findall(r"'([^']*)'", details["ctx"]["expected"])


def _short(value: object) -> str:
    if value is None:
        return "nothing"
    if value in ([], {}):
        return "an empty list" if value == [] else "an empty mapping"
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."

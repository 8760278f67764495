"""Parts of a recipe that are one name with its options, such as ``{sgd: {lr: 0.1}}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict

from campaign.registry import nearest


class Part(BaseModel):
    """A part of a recipe: frozen, and no key that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def named(what: str, *names: str) -> Callable[[object], object]:
    """A validator of ``name`` or ``{name: {options}}`` that gives ``{kind: name, **options}``.

    Example:
        >>> named("schedule", "cosine", "steps")({"cosine": {"to": 0.1}})
        {'to': 0.1, 'kind': 'cosine'}
    """

    def parse(raw: object) -> object:
        if isinstance(raw, BaseModel):
            return raw
        name, options = _parts(raw, what)
        if name not in names:
            known = list(names)
            raise ValueError(
                f"unknown {what} {name!r}{nearest(str(name), known)}; allowed: {', '.join(known)}"
            )
        return {**options, "kind": name}

    return parse


def schema(*names: str) -> dict[str, object]:
    """JSON schema of what `named` takes."""
    options = {"type": "object", "maxProperties": 1, "minProperties": 1}
    kinds = {name: f"Options of {name}." for name in names}
    each = {
        "properties": {
            name: {"type": ["object", "null"], "description": text} for name, text in kinds.items()
        }
    }
    return {"anyOf": [{"enum": list(names)}, {**options, **each, "additionalProperties": False}]}


def _parts(raw: object, what: str) -> tuple[object, Mapping[str, object]]:
    if isinstance(raw, str):
        return raw, {}
    if isinstance(raw, Mapping) and "kind" in raw:  # as a recipe writes itself
        return raw["kind"], {key: value for key, value in raw.items() if key != "kind"}
    if not isinstance(raw, Mapping) or len(raw) != 1:
        raise ValueError(f"got {raw!r}; allowed: a {what} name, or {{name: {{options}}}}")
    name, options = next(iter(raw.items()))
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(f"{name}: got {options!r}; allowed: a mapping of options")
    return name, options or {}

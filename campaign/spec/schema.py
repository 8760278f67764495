"""The JSON Schema of a spec, for editors: names and options come from the registries."""

from __future__ import annotations

import inspect
import re
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.registry import Registry, options_of
from campaign.sources import DATASETS, MODELS
from campaign.spec.campaign import CampaignSpec
from campaign.training.recipe import EarlyStop, Recipe

Schema: TypeAlias = dict[str, Any]
_NOTES = ("description", "default", "examples", "enumDescriptions")
_DROPPED = ("title", "role")
_VARIABLE: Schema = {
    "type": "string",
    "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}$",
    "description": "An environment variable: ${NAME} or ${NAME:-default}.",
}
_NUMERAL: Schema = {
    "type": "string",
    "pattern": r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$",
    "description": "A number that YAML 1.1 takes for a text, such as 1e-6.",
}


def json_schema() -> Schema:
    """JSON Schema (draft 2020-12) of a spec file.

    It accepts every valid spec and catches what an editor can tell: unknown keys, names and
    options, and values of the wrong type. Combinations are checked by `campaign.spec.load`.
    """
    schema = CampaignSpec.model_json_schema()
    defs: Schema = schema.pop("$defs")
    for section in (schema, *defs.values()):
        section["properties"] = {k: _lone(v) for k, v in section["properties"].items()}
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Another spec, relative to this one, that this one adds to and changes.",
    }
    required = {"required": schema.pop("required")}
    required["properties"] = {"grid": {"required": defs["Grid"].pop("required")}}
    schema |= {"if": {"required": ["extends"]}, "then": True, "else": required}
    defs |= _components(defs)
    whole: Schema = _opened({**schema, "$defs": defs})
    whole["$defs"] |= {"variable": _VARIABLE, "numeral": _NUMERAL}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Campaign spec",
        **whole,
    }


def _lone(field: Schema) -> Schema:
    """A list of a spec may be given as its only item."""
    options = field.get("anyOf", [field])
    if options[0].get("type") != "array":
        return field
    notes = {key: field[key] for key in _NOTES if key in field}
    several = {k: v for k, v in options[0].items() if k not in (*_NOTES, *_DROPPED)}
    return {**notes, "anyOf": [several["items"], several, *options[1:]]}


def _components(defs: Schema) -> Schema:
    """The definitions that ``x-registry`` stands for; nested ones are added to `defs`."""
    kinds: dict[str, tuple[Registry[Any], bool]] = {
        "dtype": (FORMATS, False),
        "method": (METHODS, False),
        "fault": (FAULTS, False),
        "model": (MODELS, True),
        "dataset": (DATASETS, True),
    }
    made = {k: _component(registry, titled, defs) for k, (registry, titled) in kinds.items()}
    one = {"$ref": "#/$defs/method"}
    several = {"type": "array", "items": one, "minItems": 1}
    stack = {"description": "One protection, or a stack of them.", "anyOf": [one, several]}
    return {**made, "stack": stack, "recipe": _recipe(defs)}


def _recipe(defs: Schema) -> Schema:
    """How networks are trained; nested definitions are added to `defs`."""
    schema = Recipe.model_json_schema()
    parts = schema.pop("$defs", {})
    defs |= {cls.__name__: _described(cls, parts[cls.__name__]) for cls in (EarlyStop,)}
    return _described(Recipe, schema)


def _described(cls: type[Any], schema: Schema) -> Schema:
    """The schema with what the docstring of `cls` says of it and of its fields."""
    told, summary = _argument_docs(cls), (inspect.getdoc(cls) or "").split("\n")[0]
    fields = schema["properties"].items()
    described = {key: {**held, "description": told.get(key, "")} for key, held in fields}
    return {**schema, "description": summary, "properties": described}


def _component(registry: Registry[Any], titled: bool, defs: Schema) -> Schema:
    """A name, or a mapping of one name to its options."""
    named: Schema = {}
    families: Schema = {}
    for cls in registry:
        pattern = getattr(cls, "pattern", None)
        if pattern is None:
            named[cls.name] = _options(cls, defs)
        else:
            families[f"^(?:{_ecma(pattern)})$"] = _options(cls, defs)
    names: Schema = {
        "type": "string",
        "enum": list(named),
        "enumDescriptions": [options["description"] for options in named.values()],
    }
    texts = [names] if named else []
    texts += [
        {"type": "string", "pattern": pattern, "description": options["description"]}
        for pattern, options in families.items()
    ]
    mapping = _choice(named, families, titled)
    return {"description": f"A {registry.kind}.", "anyOf": [*texts, mapping]}


def _choice(named: Schema, families: Schema, titled: bool) -> Schema:
    mapping: Schema = {
        "type": "object",
        "description": "A name and its options.",
        "properties": named,
        "patternProperties": families,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    if not titled:
        return mapping
    title = {"type": "string", "minLength": 1, "description": "What rows and figures call it."}
    return {
        **{key: mapping[key] for key in mapping if not key.endswith("Properties")},
        "patternProperties": families,
        "additionalProperties": False,
        "properties": {**named, "name": title},
        "if": {"required": ["name"]},
        "then": {"minProperties": 2, "maxProperties": 2},
        "else": {"minProperties": 1, "maxProperties": 1},
    }


def _options(cls: type[Any], defs: Schema) -> Schema:
    """The options that a spec may give to `cls`, described by its docstring."""
    schema = TypeAdapter(cls).json_schema()
    defs |= schema.pop("$defs", {})
    known = options_of(cls)
    told = _argument_docs(cls)
    properties = {
        name: {**schema["properties"][name], "description": told.get(name, "")} for name in known
    }
    needed = [name for name in schema.get("required", []) if name in known]
    return {
        "type": "object" if needed else ["object", "null"],
        "description": (inspect.getdoc(cls) or cls.__name__).split("\n")[0],
        "properties": properties,
        "additionalProperties": False,
        **({"required": needed} if needed else {}),
    }


def _argument_docs(cls: type[Any]) -> dict[str, str]:
    """The ``Args`` of a docstring, each in one line."""
    _, _, section = (inspect.getdoc(cls) or "").partition("Args:\n")
    section = re.split(r"\n(?=\S)", section)[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text) for name, text in entries}


def _ecma(pattern: str) -> str:
    """A Python pattern as JSON Schema takes it: groups have no names."""
    return re.sub(r"\(\?P<\w+>", "(", pattern)


def _opened(node: Any) -> Any:  # noqa: ANN401
    """The schema with titles dropped, registries referred to, and variables allowed for values."""
    if not isinstance(node, dict):
        return node
    if "x-registry" in node:
        notes = {key: node[key] for key in _NOTES if key in node}
        return {"$ref": f"#/$defs/{node['x-registry']}", **notes}
    kept = {key: _below(key, value) for key, value in node.items() if key not in _DROPPED}
    others = _others(kept)
    if not others:
        return kept
    notes = {key: kept.pop(key) for key in ("description", "default") if key in kept}
    return {**notes, "anyOf": [kept, *({"$ref": f"#/$defs/{name}"} for name in others)]}


def _below(key: str, value: Any) -> Any:  # noqa: ANN401
    if key in ("properties", "patternProperties", "$defs"):
        return {name: _opened(schema) for name, schema in value.items()}
    if key == "anyOf":
        return _flat([_opened(schema) for schema in value])
    if key in ("items", "additionalProperties", "if", "then", "else"):
        return _opened(value)
    return value


def _flat(options: list[Schema]) -> list[Schema]:
    """Options of options as options, each once."""
    flat: list[Schema] = []
    for option in options:
        for one in _flat(option["anyOf"]) if set(option) == {"anyOf"} else [option]:
            if one not in flat:
                flat.append(one)
    return flat


def _others(node: Schema) -> list[str]:
    """What may stand for a value of this kind besides itself."""
    if node.get("type") == "number":
        return ["numeral", "variable"]
    fixed = "enum" in node or "const" in node
    return ["variable"] if fixed or node.get("type") in ("integer", "boolean") else []

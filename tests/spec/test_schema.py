"""The JSON Schema knows every name and option, and is the committed one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from campaign.registry import options_of
from campaign.spec.schema import json_schema
from campaign.spec.template import template

SPECS = Path(__file__).parents[2] / "specs"
COMMITTED = SPECS / "campaign.schema.json"
VALID: dict[str, Any] = {
    "name": "x",
    "models": "digits_cnn",
    "dataset": "digits",
    "grid": {"dtype": "fp32", "method": "none", "ber": 1e-6},
}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_committed_schema_is_current() -> None:
    text = json.dumps(json_schema(), indent=2) + "\n"
    assert COMMITTED.read_text("utf-8") == text, "run: campaign schema > specs/campaign.schema.json"


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_spec_fits(path: Path, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(yaml.safe_load(path.read_text("utf-8")))


def test_the_template_fits(validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(yaml.safe_load(template()))


@pytest.mark.parametrize(
    "grid",
    [
        {"dtype": ["fp32", "q2_5", {"int8": {"per": "channel"}}, {"bf16": None}]},
        {"method": [["parity", {"range_clamp": {"per": "row"}}], {"saf": {"a_over_max": 2}}]},
        {"ber": {"logspace": [1e-6, "1e-3"], "per_decade": 3}, "seeds": {"start": 1, "count": 2}},
        {"ber": ["1e-6", 0.1], "seeds": [1, 2], "nonfinite": "zero", "clean": False},
        {
            "ber": "${BER:-1e-6}",
            "seeds": "${SEEDS}",
            "clean": "${CLEAN}",
            "dtype": "${DTYPE:-fp32}",
        },
        {"t": {"fp32": ["2^100", "max"], "*": 2}, "exclude": {"t": "max", "method": "saf*"}},
        {"include": [{"dtype": "fp16", "t": 1, "seeds": 4}], "exclude": [{"seed": [1]}]},
    ],
)
def test_every_short_form_fits(
    grid: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    validator.validate({**VALID, "grid": {**VALID["grid"], **grid}})


def test_only_a_spec_that_extends_may_leave_keys_out(
    validator: jsonschema.Draft202012Validator,
) -> None:
    assert validator.is_valid({"extends": "base.yaml", "grid": {"seeds": 3}})
    assert not validator.is_valid({"name": "x", "grid": VALID["grid"]})
    assert not validator.is_valid({**VALID, "grid": {"dtype": "fp32", "ber": 1}})


@pytest.mark.parametrize(
    "change",
    [
        {"notes": 1},
        {"name": 3},
        {"models": "digit_cnn"},
        {"models": []},
        {"models": [{"digits_cnn": {}, "title": "a"}]},
        {"models": [{"name": "a"}]},
        {"dataset": ["digits"]},
        {"fault": "bitflip"},
        {"engine": {"executor": "inlin"}},
        {"engine": {"workers": 0}},
        {"engine": {"workers": "all"}},
        {"evaluation": {"batch_size": 0}},
        {"targets": {"exempt_bits": [1.5]}},
        {"grid": {"dtype": "fp23"}},
        {"grid": {"dtype": "int1"}},
        {"grid": {"dtype": {"int8": {"bits": 3}}}},
        {"grid": {"method": {"saf": {"functon": "tanh"}}}},
        {"grid": {"method": {"saf": {"function": "tan"}}}},
        {"grid": {"method": {"weight_scaling": {"t": 3}}}},
        {"grid": {"method": {"saf": {}, "parity": {}}}},
        {"grid": {"ber": 2}},
        {"grid": {"ber": []}},
        {"grid": {"ber": "tiny"}},
        {"grid": {"ber": {"logspace": [1e-6, 1e-3], "perdecade": 3}}},
        {"grid": {"seeds": 0}},
        {"grid": {"t": -1}},
        {"grid": {"bre": 1}},
        {"grid": {"exclude": [{"metod": "none"}]}},
    ],
    ids=str,
)
def test_what_is_broken_does_not_fit(
    change: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    broken = {**VALID, **change}
    if "grid" in change:
        broken["grid"] = {**VALID["grid"], **change["grid"]}
    assert not validator.is_valid(broken)


def properties(schema: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property in a schema with its path, resolved where it is a reference."""
    if isinstance(schema, dict):
        for name, held in schema.get("properties", {}).items():
            yield f"{path}.{name}", held
        for key, held in schema.items():
            yield from properties(held, f"{path}.{key}")
    elif isinstance(schema, list):
        for held in schema:
            yield from properties(held, path)


def test_every_key_an_editor_offers_is_described() -> None:
    schema = json_schema()
    conditions = (".else.", ".then.")
    bare = [
        path
        for path, held in properties(schema)
        if not any(part in path for part in conditions)
        and not held.get("description")
        and not schema["$defs"].get(held.get("$ref", "").rpartition("/")[2], {}).get("description")
    ]
    assert bare == []


def test_options_are_those_of_the_classes() -> None:
    from campaign.methods import METHODS

    mapping = json_schema()["$defs"]["method"]["anyOf"][-1]
    told = {name: set(options["properties"]) for name, options in mapping["properties"].items()}
    assert told == {cls.name: set(options_of(cls)) for cls in METHODS}

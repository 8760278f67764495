"""JSON Schema of the short forms of the grid axes, as `campaign.spec.axes` reads them."""

from __future__ import annotations

from typing import Any


def _forms(value: dict[str, Any], **mapping: Any) -> dict[str, Any]:  # noqa: ANN401
    """JSON Schema of one value, a list of them, or a mapping."""
    several = {"type": "array", "items": value, "minItems": 1}
    return {"anyOf": [value, several, {"type": "object", **mapping}]}


def or_null(forms: dict[str, Any]) -> dict[str, Any]:
    """The same forms, or null."""
    return {"anyOf": [*forms["anyOf"], {"type": "null"}]}


_BER: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
BER = _forms(
    _BER,
    properties={
        "logspace": {
            "type": "array",
            "items": _BER,
            "minItems": 2,
            "maxItems": 2,
            "description": "Lowest and highest bit error rate.",
        },
        "per_decade": {
            "type": "integer",
            "minimum": 1,
            "maximum": 1000,
            "default": 1,
            "description": "Values a decade.",
        },
    },
    required=["logspace"],
    additionalProperties=False,
)
_SEED: dict[str, Any] = {"type": "integer", "minimum": 0}
SEED = _forms(
    _SEED,
    properties={
        "start": {**_SEED, "description": "First seed."},
        "count": {"type": "integer", "minimum": 1, "description": "How many seeds."},
    },
    required=["start", "count"],
    additionalProperties=False,
)
SEED["anyOf"][0] = {"type": "integer", "minimum": 1}
_T: dict[str, Any] = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": r"^(max|[0-9.]+\^[0-9.]+)$"},
    ]
}
_T_ONE_OR_MANY = {"anyOf": _forms(_T)["anyOf"][:2]}
T = _forms(_T, additionalProperties=_T_ONE_OR_MANY, minProperties=1)
T_LIST = or_null(_T_ONE_OR_MANY)

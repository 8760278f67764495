"""Fields of a spec, each with the role that `campaign.spec.campaign` tells of."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of a spec: no unknown keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _field(role: str, default: Any, description: str, limits: dict[str, Any]) -> Any:  # noqa: ANN401
    extra: dict[str, Any] = {"role": role}
    return Field(default, description=description, json_schema_extra=extra, **limits)


def identity(default: Any, description: str, **limits: Any) -> Any:  # noqa: ANN401
    """A field that decides what every row means."""
    return _field("identity", default, description, limits)


def axis(default: Any, description: str, **limits: Any) -> Any:  # noqa: ANN401
    """A field that is a coordinate of the grid."""
    return _field("axis", default, description, limits)


def execution(default: Any, description: str, **limits: Any) -> Any:  # noqa: ANN401
    """A field that never changes a row's result."""
    return _field("execution", default, description, limits)

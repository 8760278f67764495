"""Every field of a spec says whether it decides what rows mean, spans the grid, or neither."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel, Field

from campaign.spec.campaign import CampaignSpec, axis

ROLES = {"identity", "axis", "execution"}


def sections(annotation: object) -> Iterator[type[BaseModel]]:
    """The models that an annotation holds, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from sections(field.annotation)
    for part in get_args(annotation):
        yield from sections(part)


def unclassified(root: type[BaseModel]) -> list[str]:
    """Fields without a role or without a description."""
    found = []
    for section in dict.fromkeys(sections(root)):
        for name, field in section.model_fields.items():
            extra = field.json_schema_extra
            role = extra.get("role") if isinstance(extra, dict) else None
            if role not in ROLES or not field.description:
                found.append(f"{section.__name__}.{name}")
    return found


def test_every_field_of_a_spec_has_a_role_and_a_description() -> None:
    assert unclassified(CampaignSpec) == []


def test_all_sections_are_walked() -> None:
    names = {section.__name__ for section in sections(CampaignSpec)}
    assert names >= {"Grid", "Rule", "SubGrid", "TargetSpec", "EvaluationSpec", "EngineSpec"}
    assert "OutputSpec" in names


def test_a_field_without_a_role_is_found_at_any_depth() -> None:
    class Inner(BaseModel):
        bare: int = 1
        told: int = axis(1, "A number.")
        odd: int = Field(1, description="A number.", json_schema_extra={"role": "other"})

    class Outer(BaseModel):
        inner: list[Inner] | None = axis([], "Some.")

    assert unclassified(Outer) == ["Inner.bare", "Inner.odd"]

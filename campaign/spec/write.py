"""A validated spec, written back in canonical form."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from campaign.spec.campaign import CampaignSpec
from campaign.spec.choice import Choice


def resolved(spec: CampaignSpec) -> dict[str, Any]:
    """Every field of a spec as plain JSON values: no short forms, defaults included.

    Components are ``{name: {options}}`` with the options that the author gave.
    ``CampaignSpec.model_validate`` makes an equal spec of it.
    """
    plain: dict[str, Any] = _plain(spec)
    return plain


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Choice):
        return value.raw if value.title is None else {**value.raw, "name": value.title}
    if isinstance(value, range):
        return {"start": value.start, "count": len(value)}
    if isinstance(value, dict):
        return {key: _plain(held) for key, held in value.items()}
    return [_plain(held) for held in value] if isinstance(value, list | tuple) else value

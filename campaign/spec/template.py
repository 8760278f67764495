"""The commented spec that ``campaign init`` writes."""

from __future__ import annotations

from pathlib import Path


def template() -> str:
    """The text of the starter spec: a small campaign on digits that runs without a download.

    Its first line names ``campaign.schema.json`` beside it (see `campaign.spec.schema`), with which
    editors complete and check it.
    """
    return Path(__file__).with_name("template.yaml").read_text(encoding="utf-8")

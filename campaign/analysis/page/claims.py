"""Published numbers at the head of the page."""

from __future__ import annotations

from campaign.analysis.claim_table import for_people
from campaign.analysis.page.section import Section, grid
from campaign.analysis.page.subject import Subject


def published_numbers(subject: Subject) -> Section | None:
    """Published beside measured; None where no published number has a cell beside it."""
    table = subject.published
    if table is None or table.empty:
        return None
    return Section("published", "Published and measured", grid(for_people(table), name="claims"))

"""Published numbers at the head of the page."""

from __future__ import annotations

from campaign.analysis.claim_table import for_people
from campaign.analysis.claims_elsewhere import for_people as elsewhere_for_people
from campaign.analysis.page.section import Section, grid
from campaign.analysis.page.subject import Subject

_NONE_BESIDE = "No cell of this campaign stands under the condition of a published number."
_NONE_AT_ALL = (
    "None of the published numbers on file names a network, protection or attack of this campaign."
)


def published_numbers(subject: Subject) -> Section | None:
    """Published beside measured, and what has no cell; None where nothing was compared."""
    table, elsewhere = subject.published, subject.elsewhere
    if table is None or (table.empty and elsewhere is None):
        return None
    body = f"<p>{_NONE_BESIDE}</p>" if table.empty else grid(for_people(table), name="claims")
    if elsewhere is not None and not elsewhere.empty:
        count = len(elsewhere)
        body += (
            f"<details><summary>{count} published {'number' if count == 1 else 'numbers'} "
            "of its networks or protections without a cell here</summary>"
            + grid(elsewhere_for_people(elsewhere), name="published elsewhere")
            + "</details>"
        )
    elif table.empty:
        body = f"<p>{_NONE_AT_ALL}</p>"
    return Section("published", "Published and measured", body)

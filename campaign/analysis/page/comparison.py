"""A comparison as a section of the page."""

from __future__ import annotations

from collections.abc import Sequence

from campaign.analysis.comparison import Comparison
from campaign.analysis.comparison_table import for_people
from campaign.analysis.page.section import Maker, Section, grid
from campaign.analysis.page.subject import Subject


def comparison_section(comparisons: Sequence[Comparison]) -> Section | None:
    """A table for each comparison; None where there is none.

    Args:
        comparisons: What `comparison.compare` or `paired.against` gave.
    """
    if not comparisons:
        return None
    tables = "".join(map(table_html, comparisons))
    return Section("comparison", "What differs, and beyond noise", tables)


def table_html(made: Comparison) -> str:
    """One comparison as an HTML table with its caption."""
    return grid(for_people(made), name=f"{made.b} compared with {made.a}")


def comparing(comparisons: Sequence[Comparison]) -> Maker:
    """The section as `write.write_page` takes it, beside its own `SECTIONS`."""

    def made(subject: Subject) -> Section | None:
        return comparison_section(comparisons)

    return made

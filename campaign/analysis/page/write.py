"""The page from its sections: one file, no request to anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from campaign.analysis.page import charts, facts
from campaign.analysis.page.claims import published_numbers
from campaign.analysis.page.data import as_json, page_data, styles_of
from campaign.analysis.page.headline import headline
from campaign.analysis.page.palette import rules
from campaign.analysis.page.section import Maker, Section, escape
from campaign.analysis.page.sensitivity import sensitivity_studies
from campaign.analysis.page.subject import Subject
from campaign.analysis.rows import Metric

SECTIONS: tuple[Maker, ...] = (
    published_numbers,
    headline,
    charts.curve_chart,
    charts.outcome_chart,
    charts.cost_chart,
    sensitivity_studies,
    facts.sampling,
    facts.failed_trials,
    facts.methods_paragraph,
    facts.provenance,
)
"""Every section in its place on the page. A new one is a function of a `Subject` in this list; it
gives None where the rows hold nothing for it."""
SCRIPTS = ("base.js", "plot.js", "curves.js", "outcomes.js", "cost.js", "start.js")


def page_name(metric: Metric) -> str:
    """The file of a page.

    Example:
        >>> page_name("top1"), page_name("top5")
        ('report.html', 'report_top5.html')
    """
    return "report.html" if metric == "top1" else f"report_{metric}.html"


def write_page(subject: Subject, folder: Path, sections: Sequence[Maker] = SECTIONS) -> Path:
    """Write the page of a campaign.

    Args:
        subject: What it shows.
        folder: Where `page_name` goes; its tables and figures are linked relative to it.
        sections: What it is made of, in order.

    Returns:
        The file. It opens without a network; scripts and styles stand in it, and its content
        policy forbids every request.
    """
    made = [section for maker in sections if (section := maker(subject)) is not None]
    path = folder / page_name(subject.metric)
    path.write_text(_page(subject, made), encoding="utf-8", newline="\n")
    return path


def _page(subject: Subject, made: Sequence[Section]) -> str:
    name = subject.origin.name or str(subject.trials["campaign"].iloc[0])
    about = subject.origin.description
    return Template(_asset("page.html")).substitute(
        title=escape(name),
        description=f'<p class="about">{escape(about)}</p>' if about else "",
        style=_asset("page.css") + rules(styles_of(subject)),
        nav="".join(f'<li><a href="#{s.name}">{escape(s.title)}</a></li>' for s in made),
        main="".join(
            f'<section id="{s.name}" aria-labelledby="{s.name}-title">'
            f'<h2 id="{s.name}-title">{escape(s.title)}</h2>{s.body}</section>\n'
            for s in made
        ),
        data=as_json(page_data(subject)),
        script="\n".join(_asset(script) for script in SCRIPTS),
    )


def _asset(name: str) -> str:
    return (files("campaign.analysis.page") / "assets" / name).read_text("utf-8")

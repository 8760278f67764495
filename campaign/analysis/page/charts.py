"""The sections that the page draws from its data: curves, outcome classes, cost against gain."""

from __future__ import annotations

from campaign.analysis.drawing import MOST_BANDS
from campaign.analysis.page.outcomes import CLASSES
from campaign.analysis.page.section import Section, escape, links
from campaign.analysis.page.subject import Subject

_CLASS_NAMES = {
    "masked": "masked: the same logits to the bit",
    "benign": "benign: other logits, the same class",
    "sdc": "SDC: another class, silently",
    "due": "DUE: a logit that is not finite",
}


def curve_chart(subject: Subject) -> Section | None:
    """Accuracy against bit error rate, one model and number format at a time."""
    if not (subject.points["ber"] > 0).any():
        return None
    name = f"{subject.metric_name.capitalize()} against bit error rate"
    body = (
        _chooser("curves", ("model", "dtype", "variant"))
        + _chart("curves", f"{name}, a line for each method; arrow keys go from point to point")
        + '<ul class="legend" id="curves-legend" aria-label="Methods; press one to isolate it">'
        "</ul>"
        f'<p class="note">{_bands(subject)} Press a method to see it alone, and again for all.</p>'
        '<details id="curves-table"><summary>The numbers of this chart</summary>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Numbers of the chart"></div>'
        "</details>" + _print(subject, "accuracy")
    )
    return Section("curves", name, body)


def outcome_chart(subject: Subject) -> Section | None:
    """What became of the images, as shares stacked over bit error rate."""
    known = subject.outcomes.loc[subject.outcomes["ber"] > 0, list(CLASSES)].notna().all(axis=1)
    if not known.any():
        return None
    keys = "".join(
        f'<li><span class="key {name}"></span>{escape(text)}</li>'
        for name, text in _CLASS_NAMES.items()
    )
    body = (
        _chooser("outcomes", ("model", "dtype", "variant"))
        + f'<ul class="keys">{keys}</ul>'
        + '<div class="panels" id="outcomes-chart"></div>'
        '<p class="note">Share of images in each class, against the fault-free answer of the same '
        "stored model, over all fault maps of a bit error rate. A wrong answer that faults leave "
        "as it is counts as masked or benign.</p>" + _print(subject, "outcomes")
    )
    return Section("outcomes", "What becomes of the answers", body)


def cost_chart(subject: Subject) -> Section | None:
    """Memory against the bit error rate that is tolerated, a point for each curve."""
    if subject.cost.empty or subject.cost["method"].nunique() < 2:
        return None
    body = (
        _chooser("cost", ("model", "variant"))
        + _chart("cost", "Bits per weight against tolerated bit error rate; arrow keys go along")
        + '<ul class="keys" id="cost-keys"></ul>'
        '<p class="note">Bits per weight (stored, check bits, constants) against the bit error '
        "rate at which the mean accuracy has fallen 5 points below the fault-free one. Colour: "
        "method, as above; shape: number format. The line joins what nothing else of the model "
        "beats in both; arrows: more than the largest rate measured is tolerated, or less than "
        "the smallest.</p>" + _print(subject, "pareto")
    )
    return Section("cost", "Memory against tolerated bit error rate", body)


def _chooser(name: str, fields: tuple[str, ...]) -> str:
    """Selectors, filled by the page from its data; those of one field move together."""
    titles = {"model": "Model", "dtype": "Number format", "variant": "Variant"}
    held = "".join(
        f'<label>{titles[field]} <select data-field="{field}" id="{name}-{field}"></select></label>'
        for field in fields
    )
    return f'<form class="choose" aria-label="What the chart shows">{held}</form>'


def _chart(name: str, title: str) -> str:
    return (
        f'<div class="chart" id="{name}-chart" tabindex="0" role="application" '
        f'aria-label="{escape(title)}"></div>'
    )


def _bands(subject: Subject) -> str:
    """What lines and bands are."""
    estimated = subject.estimated and subject.metric == "top1"
    level = float(subject.points["confidence"].iloc[0]) if estimated else 0.95
    if estimated or subject.interval == "bounded":
        kind = "intervals of the mean that allow for fault maps not seen"
    else:
        kind = "bootstrap intervals of the mean (the other, wider one where all maps agree)"
    over = "fault maps"
    if subject.trainings > 1:
        over += f" and up to {subject.trainings} trainings (intervals there: Student's t over both)"
    return (
        f"{'Estimated means' if estimated else 'Means'} over {over}; bands: {100 * level:g} % "
        f"{kind}. With more than {MOST_BANDS} methods the band of one is shown when it is pointed "
        "at or alone."
    )


def _print(subject: Subject, kind: str) -> str:
    """Links to the figures of a kind."""
    return links(path for path in subject.files if path.startswith(f"figures/{kind}"))

"""The sections of text: failures, how it was sampled, methods, provenance."""

from __future__ import annotations

from datetime import UTC, datetime

from campaign.analysis.page.methods_text import methods_text
from campaign.analysis.page.outcomes import failures, spent
from campaign.analysis.page.section import Section, escape, plain_table
from campaign.analysis.page.subject import Subject

MOST_REASONS = 50
_STOPS = {
    "precise": "as precise as wanted",
    "max_seeds": "given up at max_seeds, wider than wanted",
    "failed": "too many trials failed",
    "open": "maps are still to come",
    "": "not judged: the wanted precision is not known",
}


def failed_trials(subject: Subject) -> Section | None:
    """Why trials have no result, and which one to run again to see it."""
    found = failures(subject.trials)
    if found.empty:
        return None
    rows = [
        (row["status"], row["error_type"], row["error"], f"{row['trials']:,}", row["trial_id"])
        for row in found.head(MOST_REASONS).to_dict("records")
    ]
    heads = ("Status", "Error", "Message", "Trials", "One of them")
    more = len(found) - len(rows)
    body = (
        f"<p>{int(found['trials'].sum()):,} of {len(subject.trials):,} trials have no result; "
        "they are in no mean. <code>campaign replay</code> with the id runs one again.</p>"
        + plain_table(heads, rows, name="Failures and their reasons")
        + (f"<p>And {more:,} further reasons, see the rows.</p>" if more else "")
    )
    return Section("failures", "Failures", body)


def sampling(subject: Subject) -> Section | None:
    """How many maps the means were bought with, where images were sampled."""
    if not subject.estimated:
        return None
    cells = subject.points[subject.points["ber"] > 0]
    stops = cells.groupby("stop").agg(
        cells=("ber", "size"), maps=("n_trials", "sum"), images=("images", "sum")
    )
    rows = [
        (_STOPS[str(stop)], f"{row.cells:,.0f}", f"{row.maps:,.0f}", f"{row.images:,.0f}")
        for stop, row in stops.iterrows()
    ]
    wanted = subject.precision
    said = (
        ""
        if wanted is None
        else f"<p>Wanted: a half-width of {100 * wanted.half_width:g} points at "
        f"{100 * wanted.confidence:g} % confidence.</p>"
    )
    heads = ("Points that are", "Points", "Fault maps", "Images judged")
    body = (
        "<p>Each fault map was judged on a sample of the images, against the fault-free answers "
        "on the same ones; maps were added until the interval was narrow enough. The spread of "
        "maps is then not known, so medians and quantiles are left empty.</p>"
        + said
        + plain_table(heads, rows, name="Points by the reason for their number of maps")
    )
    return Section("sampling", "Precision", body)


def methods_paragraph(subject: Subject) -> Section:
    """How it was measured, to be pasted in a paper."""
    body = (
        f'<p id="methods-text">{escape(methods_text(subject))}</p>'
        '<p><button type="button" id="methods-copy">Copy the paragraph</button></p>'
    )
    return Section("methods", "How it was measured", body)


def provenance(subject: Subject) -> Section:
    """The spec, and what ran it, where and when."""
    took, trials = spent(subject.trials), subject.trials
    facts = [
        ("Trials", f"{took.trials:,}, of which {took.failed:,} have no result"),
        ("First and last", f"{_when(took.first)} to {_when(took.last)}"),
        ("Time of all trials", _duration(took.seconds)),
        ("Of it on GPUs", _duration(took.gpu_seconds)),
        *((title, _distinct(trials[column])) for title, column in _COLUMNS.items()),
    ]
    body = plain_table(("What", "Value"), facts, name="What the rows say")
    if subject.origin.sessions:
        body += "<h3>Runs</h3>" + _sessions(subject)
    if subject.origin.spec_text:
        body += (
            "<details><summary>The spec as written</summary>"
            f'<pre tabindex="0">{escape(subject.origin.spec_text)}</pre></details>'
        )
    return Section("provenance", "Provenance", body)


_COLUMNS = {
    "Hosts": "host",
    "Devices": "device",
    "Code": "code_version",
    "Computation": "compute",
}


def _sessions(subject: Subject) -> str:
    """One row for each run, and the digests and versions of all."""
    runs = [
        (
            _when(float(run.get("started_at", 0))),
            _duration(float(run.get("finished_at", 0)) - float(run.get("started_at", 0)))
            if run.get("finished_at")
            else "not ended",
            f"{run.get('trials', 0):,}",
            str(run.get("code_version", "")),
            f"{run.get('host', '')}, {run.get('processor', '')}, {run.get('cpus', '')} CPUs",
            str(run.get("spec_sha256", ""))[:12],
        )
        for run in subject.origin.sessions
    ]
    heads = ("Started", "Wall time", "Trials", "Code", "Driver", "Spec sha256")
    last = subject.origin.sessions[-1]
    versions = {"python": last.get("python", ""), **last.get("packages", {})}
    digests = last.get("digests", {})
    held = [("dataset", digests.get("dataset", "")), *digests.get("models", {}).items()]
    return (
        plain_table(heads, runs, name="Runs")
        + "<h3>Digests (sha256) of the last run</h3>"
        + plain_table(("What", "Digest"), held, name="Digests")
        + "<h3>Versions of the last run</h3>"
        + plain_table(("Package", "Version"), versions.items(), name="Versions")
    )


def _distinct(column: object) -> str:
    names = sorted({str(name) for name in column.dropna().unique()})  # type: ignore[attr-defined]
    shown = ", ".join(names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _duration(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> _duration(75.0), _duration(9000.0)
        ('75.0 s', '2.50 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.2f} h"

"""Rewrite the generated tables of the docs: uv run python docs/generate.py."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import pandas as pd

from campaign.analysis.claim_table import interval_text
from campaign.analysis.claims import VERDICTS
from campaign.analysis.rows import as_trials
from campaign.engines.stores.reader import read_results
from campaign.engines.stores.schema import column_docs
from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.published import Claim, load_published
from campaign.records import column_types
from campaign.registry import Registry, options_of
from campaign.runner.report import claims_of
from campaign.sources import DATASETS, MODELS
from campaign.text import rate_text, t_text

DOCS = Path(__file__).parent
REFERENCE = DOCS.parent / "results" / "reference"
PAPERS = ("2411.18993", "2411.19027")
"""What the project set out to reproduce; these come first."""
KINDS: dict[str, Registry[Any]] = {
    "Number formats": FORMATS,
    "Protections": METHODS,
    "Fault models": FAULTS,
    "Models": MODELS,
    "Datasets": DATASETS,
}


def columns() -> str:
    """The row schema as a Markdown table."""
    types, docs = column_types(), column_docs()
    lines = ["| column | type | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {types[name]} | {' '.join(docs[name].split())} |" for name in types]
    return "\n".join(lines)


def catalogue() -> str:
    """Everything a spec can name, with options and docstrings."""
    parts = ["# Catalogue", "What a spec can name. Generated from the code."]
    for title, registry in KINDS.items():
        parts.append(f"## {title}")
        parts += [_entry(cls) for cls in registry]
    return "\n\n".join(parts) + "\n"


def _entry(cls: type[Any]) -> str:
    defaults = {f.name: f.default for f in dataclasses.fields(cls)}
    options = [
        f"`{name}`" + ("" if defaults[name] is dataclasses.MISSING else f" = `{defaults[name]}`")
        for name in options_of(cls)
    ]
    text = (inspect.getdoc(cls) or "").split("\n\nArgs:")
    told = [f"### `{cls.name}`", text[0]]
    if len(text) > 1:
        rows = [line.strip() for line in text[1].split("\n\n")[0].splitlines() if line.strip()]
        told.append("\n".join(f"* {row}" if ": " in row else f"  {row}" for row in rows))
    return "\n\n".join([*told, f"Options: {', '.join(options) or 'none'}."])


def results_page() -> str:
    """docs/results.md with its table of columns current."""
    page = (DOCS / "results.md").read_text("utf-8")
    before, rest = page.split("<!-- columns -->")
    after = rest.split("<!-- /columns -->")[1]
    return f"{before}<!-- columns -->\n{columns()}\n<!-- /columns -->{after}"


def reproduction_page() -> str:
    """docs/reproduction.md with its tables of runs and claims current."""
    page = (DOCS / "reproduction.md").read_text("utf-8")
    for name, made in (("runs", run_table()), ("claims", claim_tables())):
        before, rest = page.split(f"<!-- {name} -->")
        after = rest.split(f"<!-- /{name} -->")[1]
        page = f"{before}<!-- {name} -->\n{made}\n<!-- /{name} -->{after}"
    return page


def run_table() -> str:
    """Each reference run: what was judged on what, and what it took."""
    lines = [
        "| run | models | images, up to | fault maps, up to | trials | wall time |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for folder in sorted(path.parent for path in REFERENCE.glob("*/trials")):
        rows = as_trials(read_results(folder))
        sessions = json.loads((folder / "provenance.json").read_text("utf-8"))["sessions"]
        seconds = sum(each["finished_at"] - each["started_at"] for each in sessions)
        images = f"{rows['n_samples'].max():,.0f}"
        maps = f"{rows[rows['ber'] > 0]['seed'].nunique():,}"
        models = ", ".join(sorted(set(rows["model"])))
        name = f"[`{folder.name}`](../results/reference/{folder.name}/tables/points.csv)"
        cells = (name, models, images, maps, f"{len(rows):,}", f"{seconds / 60:.0f} min")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def claim_tables() -> str:
    """Each publication with its numbers, and the cells of the reference runs beside them."""
    folders = sorted(path.parent for path in REFERENCE.glob("*/trials"))
    found = [
        claims_of(folder, as_trials(read_results(folder))).assign(folder=folder.name)
        for folder in folders
    ]
    cells = pd.concat([frame for frame in found if len(frame)], ignore_index=True)
    parts = [_counts(cells)]
    for publication in sorted(load_published(), key=lambda each: each.arxiv not in PAPERS):
        parts += [f"### {publication.source}", f"Settled by: {publication.settled_by}.", _HEAD]
        for claim in publication.claims:
            beside = cells[cells["claim"] == claim.id].to_dict("records")
            parts[-1] += "".join(_claim_row(claim, cell) for cell in beside or [None])
    return "\n\n".join(parts)


_HEAD = "| claim | published | measured here | data | verdict |\n|---|---|---|---|---|"


def _counts(cells: pd.DataFrame) -> str:
    held = [claim.id for publication in load_published() for claim in publication.claims]
    beside = cells.groupby("claim")["verdict"].agg(set)
    told = [f"{sum(name in seen for seen in beside)} {name}" for name in VERDICTS]
    none = len(held) - len(beside)
    return f"{len(held)} published numbers: {', '.join(told)}, {none} without a measurement here."


def _claim_row(claim: Claim, cell: dict[str, Any] | None) -> str:
    condition = [claim.model and claim.model.name, claim.dtype, *(claim.method or ())]
    if claim.ber is not None:
        condition.append("no faults" if claim.ber == 0 else f"BER {rate_text(float(claim.ber))}")
    told = ", ".join(part for part in condition if part)
    about = f"`{claim.id}`: {claim.about}" + (f" ({told})" if told else "")
    published = f"{claim.text} {(claim.unit or '').replace('_', ' ')} ({claim.tag})"
    if cell is None:
        reason = "not measured here" if claim.measurable else "no quantity of a campaign's rows"
        return f"\n| {about} | {published} | - | - | open: {reason} |"
    measured = f"{cell['measured']:.2f} {interval_text(cell['low'], cell['high'])}"
    data = f"{cell['folder']}: {cell['n_images']:,.0f} images, {cell['n_trials']} maps"
    if not pd.isna(cell["t"]):
        data += f", t = {t_text(cell['t'])}"
    because = f": {cell['reasons']}" if cell["reasons"] else ""
    return f"\n| {about} | {published} | {measured} | {data} | {cell['verdict']}{because} |"


PAGES = {
    "results.md": results_page,
    "catalogue.md": catalogue,
    "reproduction.md": reproduction_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), "utf-8")

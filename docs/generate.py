"""Rewrite the generated tables of the docs: uv run python docs/generate.py."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

from campaign.engines.stores.schema import column_docs
from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.records import column_types
from campaign.registry import Registry, options_of
from campaign.sources import DATASETS, MODELS

DOCS = Path(__file__).parent
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


PAGES = {"results.md": results_page, "catalogue.md": catalogue}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), "utf-8")

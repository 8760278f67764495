"""A comparison for people: as a table, as lines of 80 columns, and as plain data."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from campaign.analysis.comparison import Comparison, Lone, label_of
from campaign.analysis.markup import Cell, Column, Grid, Number
from campaign.analysis.rows import METRIC_NAMES
from campaign.text import rate_text

WIDTH = 80
"""Columns of the lines."""
_HEADS = ("BER", "A", "B", "B-A", "95 % interval", "maps", "p")
_WIDTHS = (8, 7, 7, 8, 19, 14, 8)


def lines_of(comparisons: Sequence[Comparison]) -> list[str]:
    """What a terminal shows; no line is wider than `WIDTH`, but for a name that is."""
    lines: list[str] = []
    for made in comparisons:
        lines += [*_wrapped(f"A: {made.a}"), *_wrapped(f"B: {made.b}")]
        for name, cells in _by_curve(made):
            lines += ["", *_wrapped(name)]
            lines.append("".join(h.rjust(w) for h, w in zip(_HEADS, _WIDTHS, strict=True)))
            lines += [_line(cell) for cell in cells]
            lines += [line for text in _unpaired(cells) for line in _wrapped(text, "  ")]
        lines += ["", *(line for text in _besides(made) for line in _wrapped(text)), ""]
    return [*lines, *_wrapped(explanation(comparisons))]


def for_people(made: Comparison) -> Grid:
    """One row a cell, a block for each curve."""
    columns = [
        Column(("Curve",), numeric=False),
        *(Column((name,)) for name in _HEADS),
        Column(("Differs",), numeric=False),
        Column(("Not paired",), numeric=False),
    ]
    blocks = [[_cells(name, cell) for cell in cells] for name, cells in _by_curve(made)]
    besides = " ".join(f"{text}." for text in _besides(made))
    return Grid((f"A: {made.a}; B: {made.b}. {besides} {explanation([made])}",), columns, blocks)


def table_of(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """All cells in one frame, with the names of the sides as ``a`` and ``b``, shares unrounded."""
    parts = [made.cells.assign(a=made.a, b=made.b) for made in comparisons]
    frame = pd.concat(parts, ignore_index=True)
    return frame[["a", "b", *(c for c in frame if c not in ("a", "b"))]]


def data_of(made: Comparison) -> dict[str, Any]:
    """The comparison as JSON takes it; NaN and infinity are None."""
    return {
        "a": made.a,
        "b": made.b,
        "metric": made.metric,
        "interval": made.interval,
        "across": list(made.across),
        "tested": made.tested,
        "differing": made.differing,
        "family": made.family,
        "notes": list(made.notes),
        "only_a": [_lone_data(lone) for lone in made.only_a],
        "only_b": [_lone_data(lone) for lone in made.only_b],
        "cells": [
            {str(key): _plain(value) for key, value in cell.items()}
            for cell in made.cells.to_dict("records")
        ],
    }


def explanation(comparisons: Sequence[Comparison]) -> str:
    """What the numbers are; one sentence each."""
    tested = sum(made.tested for made in comparisons)
    differing = sum(made.differing for made in comparisons)
    interval = comparisons[0].interval
    allowance = {
        "bootstrap": "bootstrap intervals, no allowance for fault maps not seen",
        "bounded": "intervals that allow for fault maps not seen",
    }
    metrics = " and ".join(dict.fromkeys(METRIC_NAMES[made.metric] for made in comparisons))
    family = comparisons[0].family
    return (
        f"{differing} of {tested} tested cells differ beyond noise (*: p at most 0.05 after Holm "
        f"over {family} cells). {metrics.capitalize()} in %, B less A in points; 95 % "
        f"{allowance[interval]}. Pairs are trials on the same faults and images: p of all ways to "
        "swap the sides of each; else (vs) of all ways to part the trials in two groups, or, of "
        "estimates from samples of the images, by the width of the interval. Without faults "
        "(exact) there is one trial a side."
    )


def _by_curve(made: Comparison) -> Iterator[tuple[str, list[dict[Hashable, Any]]]]:
    """The cells of each pair of curves, under the name of the first, or of both."""
    found: dict[str, list[dict[Hashable, Any]]] = {}
    for cell in made.cells.to_dict("records"):
        ours, theirs = (label_of(cell, side, made.across) for side in "ab")
        found.setdefault(ours if ours == theirs else f"{ours} -> {theirs}", []).append(cell)
    yield from found.items()


def _line(cell: Mapping[Hashable, Any]) -> str:
    texts = (rate_text(cell["ber"]), *_texts(cell))
    line = "".join(text.rjust(width) for text, width in zip(texts, _WIDTHS, strict=True))
    return f"{line} {'*' if cell['differs'] else ''}".rstrip()


def _cells(name: str, cell: Mapping[Hashable, Any]) -> list[Cell]:
    return [
        (name,),
        (Number(rate_text(cell["ber"])),),
        *((text,) for text in _texts(cell)),
        ("*" if cell["differs"] else "",),
        (cell["why"],),
    ]


def _texts(cell: Mapping[Hashable, Any]) -> tuple[str, ...]:
    """Means, difference, interval, maps, p."""
    return (
        f"{100 * cell['mean_a']:.2f}",
        f"{100 * cell['mean_b']:.2f}",
        _points(cell["difference"]),
        _interval(cell),
        _maps(cell),
        _p(cell["p_adjusted"]),
    )


def _points(share: float) -> str:
    """A difference in points, with its sign; no sign where it rounds to none."""
    text = f"{100 * share:+.2f}"
    return text[1:] if float(text) == 0 else text


def _interval(cell: Mapping[Hashable, Any]) -> str:
    if cell["how"] == "exact":
        return "exact"
    if cell["n_pairs"] > 1 and cell["n_equal"] == cell["n_pairs"]:
        return "all equal"
    if math.isnan(cell["low"]):
        return "-"
    return f"[{_points(cell['low'])}, {_points(cell['high'])}]"


def _maps(cell: Mapping[Hashable, Any]) -> str:
    if cell["how"] == "paired":
        return f"{cell['n_pairs']} pairs" if cell["n_pairs"] != 1 else "1 pair"
    return "" if cell["how"] == "exact" else f"{cell['n_a']} vs {cell['n_b']}"


def _p(p: float) -> str:
    if math.isnan(p):
        return "-"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def _unpaired(cells: Sequence[Mapping[Hashable, Any]]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        if cell["why"]:
            reasons.setdefault(cell["why"], []).append(rate_text(cell["ber"]))
    return [f"unpaired at {', '.join(bers)}: {why}" for why, bers in reasons.items()]


def _besides(made: Comparison) -> list[str]:
    """Lines on what the cells do not say."""
    lone = [
        f"only in {side}: {each.curve} at {', '.join(map(rate_text, each.bers))}"
        for side, found in (("A", made.only_a), ("B", made.only_b))
        for each in found
    ]
    none = [] if len(made.cells) else ["no cell is in both"]
    return [*none, *lone, *(f"note: {note}" for note in made.notes)]


def _lone_data(lone: Lone) -> dict[str, Any]:
    return {"curve": lone.curve, "bers": list(lone.bers)}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any cell of a frame
    if isinstance(value, float) and not math.isfinite(value):
        return None
    item = getattr(value, "item", None)
    return value if item is None else item()


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )

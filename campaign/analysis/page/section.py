"""A part of the page, and the few pieces of markup that all parts use."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from campaign.analysis.markup import Cell, Column, Grid, Number
from campaign.analysis.page.subject import Subject


class Section(NamedTuple):
    """One part of the page."""

    name: str
    """Its anchor: letters, digits and hyphens, different for each section."""
    title: str
    body: str
    """HTML; everything from outside escaped."""


Maker: TypeAlias = "Callable[[Subject], Section | None]"
"""Gives a section, or None where the rows hold nothing for it."""


def escape(text: object) -> str:
    """Text that HTML takes for nothing but text.

    Example:
        >>> escape("<b> & 'c'")
        '&lt;b&gt; &amp; &#x27;c&#x27;'
    """
    return html.escape(str(text))


def number(text: str) -> str:
    """A number of `labels` as HTML sets it.

    Example:
        >>> number("> 3.2e-5")
        '&gt; 3.2&times;10<sup>-5</sup>'
    """
    power = re.sub(r"\^(-?\d+)", r"<sup>\1</sup>", escape(text))
    power = re.sub(r"(?<![\d.])1e(-?\d+)", r"10<sup>\1</sup>", power)
    return re.sub(r"e(-?\d+)", r"&times;10<sup>\1</sup>", power)


def cell(pieces: Cell) -> str:
    """A cell of `markup.Grid` as HTML."""
    return "".join(number(p) if isinstance(p, Number) else escape(p) for p in pieces)


def grid(table: Grid, *, name: str) -> str:
    """A table for people as HTML that scrolls by itself; its caption below, which does not."""
    return (
        scrolling(
            f"<table><thead>{_heads(table.columns)}</thead>"
            + "".join(_block(block, table.columns) for block in table.blocks)
            + "</table>",
            name,
        )
        + f'<p class="note">{cell(table.caption)}</p>'
    )


def plain_table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, name: str) -> str:
    """A table of text, the first column of which names the row."""
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(value)}</td>" for value in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return scrolling(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", name)


def scrolling(table: str, name: str) -> str:
    """A table in a frame of its own, reachable by keyboard."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{table}</div>'
    )


def links(files: Iterable[str]) -> str:
    """Links to files beside the page; empty where there are none."""
    held = [f'<a href="{escape(path)}">{escape(path.rpartition("/")[2])}</a>' for path in files]
    return f'<p class="files">For print: {" · ".join(held)}</p>' if held else ""


def _heads(columns: list[Column]) -> str:
    """The names of groups above the names of columns."""
    upper, lower, place = list[str](), list[str](), 0
    while place < len(columns):
        group = columns[place].group
        same = [c for c in columns[place:] if group and c.group == group]
        if not same:
            name = cell(columns[place].name)
            upper.append(f'<th scope="col" rowspan="2"{_side(columns[place])}>{name}</th>')
        else:
            upper.append(f'<th scope="colgroup" colspan="{len(same)}">{escape(group)}</th>')
            lower += [f'<th scope="col"{_side(c)}>{cell(c.name)}</th>' for c in same]
        place += max(1, len(same))
    return f"<tr>{''.join(upper)}</tr><tr>{''.join(lower)}</tr>"


def _block(rows: list[list[Cell]], columns: list[Column]) -> str:
    held = "".join(
        "<tr>"
        + "".join(f"<td{_side(c)}>{cell(v)}</td>" for v, c in zip(row, columns, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<tbody>{held}</tbody>"


def _side(column: Column) -> str:
    return ' class="n"' if column.numeric else ""

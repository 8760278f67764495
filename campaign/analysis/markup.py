"""A small table as Markdown or as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from campaign.analysis.labels import power


class Number(str):
    """A number of `labels`, such as ``1e-6``, ``2^127`` or ``> 1e-3``, to be set as one."""

    __slots__ = ()


Cell: TypeAlias = "tuple[str, ...]"
"""Pieces of text, some of them a `Number`."""


class Column(NamedTuple):
    """What stands above a column of cells."""

    name: Cell
    group: str = ""
    """What stands above it and its neighbours of the same group, where the markup can say so."""
    short: str = ""
    """What is said before the name where it cannot."""
    numeric: bool = True


class Grid(NamedTuple):
    """A table for people."""

    caption: Cell
    columns: list[Column]
    blocks: list[list[list[Cell]]]
    """Rows of cells in blocks that belong together."""


def markdown(grid: Grid) -> str:
    """The table in GitHub's Markdown, padded so that it can be read as it is."""
    heads = [_markdown_cell((column.short, *column.name)) for column in grid.columns]
    rows = [[_markdown_cell(cell) for cell in row] for block in grid.blocks for row in block]
    widths = [max(3, *(len(row[place]) for row in [heads, *rows])) for place in range(len(heads))]
    numeric = [column.numeric for column in grid.columns]
    rule = [
        "-" * (width - 1) + (":" if right else "-")
        for width, right in zip(widths, numeric, strict=True)
    ]
    lines = [
        [cell.rjust(width) if right else cell.ljust(width) for cell, width, right in padded]
        for padded in (zip(row, widths, numeric, strict=True) for row in [heads, *rows])
    ]
    body = [f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]]]
    return "\n".join([*body, "", _markdown_cell(grid.caption), ""])


def latex(grid: Grid) -> str:
    """The table as a LaTeX float; needs the package booktabs and UTF-8 input."""
    align = "".join("r" if column.numeric else "l" for column in grid.columns)
    rows = [
        [_latex_row(_latex_cell(cell) for cell in row) for row in block] for block in grid.blocks
    ]
    body = "\n\\midrule\n".join("\n".join(block) for block in rows)
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            "\\begin{table*}",
            "\\centering",
            f"\\caption{{{_latex_cell(grid.caption)}}}",
            "\\footnotesize",
            "\\setlength{\\tabcolsep}{4pt}",
            f"\\begin{{tabular}}{{{align}}}",
            "\\toprule",
            *_latex_groups(grid.columns),
            _latex_row(_latex_cell(column.name) for column in grid.columns),
            "\\midrule",
            body,
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table*}",
            "",
        ]
    )


_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "·": r"\textperiodcentered{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def latex_text(text: str) -> str:
    r"""Plain text with nothing in it that LaTeX would take for a command.

    Example:
        >>> print(latex_text("50 % of q2_5"))
        50 \% of q2\_5
    """
    return "".join(_LATEX_SPECIAL.get(sign, sign) for sign in text)


def _markdown_cell(cell: Cell) -> str:
    text = "".join(cell).replace("\\", "\\\\")
    return re.sub(r"([|*`\[\]])", r"\\\1", text) if "*" in text or "|" in text else text


def _latex_cell(cell: Cell) -> str:
    return "".join(
        f"${_latex_number(piece)}$" if isinstance(piece, Number) else latex_text(piece)
        for piece in cell
    )


def _latex_number(number: str) -> str:
    sign, _, digits = number.rpartition(" ")
    return f"{sign} {power(digits)}" if sign else power(digits)


def _latex_row(cells: Iterator[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_groups(columns: list[Column]) -> list[str]:
    """A line above the heads with the names of groups, and rules under them."""
    spans: list[tuple[str, int]] = []
    for column in columns:
        if spans and column.group and spans[-1][0] == column.group:
            spans[-1] = column.group, spans[-1][1] + 1
        else:
            spans.append((column.group, 1))
    if not any(name for name, _ in spans):
        return []
    cells = [
        f"\\multicolumn{{{width}}}{{c}}{{{latex_text(name)}}}" if name else ""
        for name, width in spans
    ]
    ends = [sum(width for _, width in spans[: place + 1]) for place in range(len(spans))]
    rules = [
        f"\\cmidrule(lr){{{end - width + 1}-{end}}}"
        for (name, width), end in zip(spans, ends, strict=True)
        if name
    ]
    return [_latex_row(iter(cells)), "".join(rules)]

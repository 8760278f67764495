"""What `campaign compare` prints or writes."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from campaign.cli.terminal import printable
from campaign.errors import SetupError, SpecError

if TYPE_CHECKING:
    import pandas as pd

    from campaign.analysis.comparison import Comparison

Format = Literal["text", "csv", "md", "json"]
_ENDINGS: dict[str, Format] = {".csv": "csv", ".md": "md", ".json": "json", ".txt": "text"}


def show_comparison(
    made: Sequence[Comparison],
    claims: pd.DataFrame | None,
    format_: Format | None,
    output: Path | None,
) -> None:
    """Print comparisons, or write them to a file.

    Args:
        made: The comparisons; none where only published numbers are asked for.
        claims: What `campaign.runner.compare.published_beside` gave.
        format_: None goes by the ending of the file: csv, md, json or txt; text without one.
        output: None prints.

    Raises:
        SpecError: If the file has another ending and no format is given, or csv is to hold two
            tables.
        SetupError: If the file cannot be written.
    """
    kind = format_ or _by_ending(output)
    text = _rendered(made, claims, kind)
    if output is None:
        print(printable(text) if kind == "text" else text, end="")
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise SetupError(f"{output}: cannot be written ({error.strerror})") from None
    print(f"wrote {output}")


def _by_ending(output: Path | None) -> Format:
    if output is None:
        return "text"
    if output.suffix not in _ENDINGS:
        allowed = ", ".join(_ENDINGS)
        raise SpecError(
            f"-o {output}: got ending {output.suffix!r}; allowed: {allowed}; or --format"
        )
    return _ENDINGS[output.suffix]


def _rendered(made: Sequence[Comparison], claims: pd.DataFrame | None, kind: Format) -> str:
    from campaign.analysis.comparison_table import data_of, for_people, lines_of, table_of
    from campaign.analysis.markup import markdown

    if kind == "csv":
        if made and claims is not None:
            raise SpecError("--format csv holds one table; use md or json with --published")
        return (table_of(made) if claims is None else claims).to_csv(index=False)
    if kind == "json":
        found = (
            {} if claims is None else {"published": json.loads(claims.to_json(orient="records"))}
        )
        return json.dumps({"comparisons": [data_of(each) for each in made], **found}) + "\n"
    if kind == "md":
        from campaign.analysis.claim_table import for_people as claim_grid

        grids = [for_people(each) for each in made]
        grids += [] if claims is None or claims.empty else [claim_grid(claims)]
        return "\n".join(markdown(grid) for grid in grids)
    lines = lines_of(made) if made else []
    return "\n".join([*lines, *([] if claims is None else _claim_lines(claims))]) + "\n"


def _claim_lines(claims: pd.DataFrame) -> list[str]:
    """Two or three lines a claim, for 80 columns."""
    from campaign.analysis.claim_table import interval_text
    from campaign.analysis.labels import method_label
    from campaign.text import rate_text

    if claims.empty:
        return ["", "no published number has a cell beside it"]
    lines = ["", "published numbers, in % or points:"]
    for row in claims.to_dict("records"):
        cell = f"{row['model']} · {row['dtype']} · {method_label(row['method'], row['t'])}"
        found = f"{row['measured']:.2f} {interval_text(row['low'], row['high'])}"
        texts = [
            f"{row['claim']} ({row['folder']}: {cell} at {rate_text(row['ber'])})",
            f"  published {row['published']}, here {found}: {row['verdict']}",
            *([f"  {row['reasons']}"] if row["reasons"] else []),
        ]
        for text in texts:
            indent = " " * (len(text) - len(text.lstrip()))
            lines += textwrap.wrap(
                text,
                80,
                initial_indent="",
                subsequent_indent=indent + "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    return lines

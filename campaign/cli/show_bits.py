"""What `campaign bit-errors` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from campaign.analysis.labels import method_label
from campaign.errors import SetupError

if TYPE_CHECKING:
    import pandas as pd


def show_bit_errors(table: pd.DataFrame, *, as_json: bool, output: Path | None) -> None:
    """One line a bit, the most significant first, a block for each setup.

    Raises:
        SetupError: If `output` cannot be written.
    """
    if output is not None:
        try:
            output.write_text(table.to_csv(index=False, lineterminator="\n"), "utf-8")
        except OSError as error:
            raise SetupError(f"{output}: cannot be written ({error.strerror})") from None
        print(f"wrote {output}")
        return
    if as_json:
        print(table.to_json(orient="records", lines=True, double_precision=15), end="")
        return
    console = Console(markup=False)
    console = console if console.is_terminal else Console(width=200, markup=False)
    keys = ["model", "dtype", "method", "t", "nonfinite"]
    for _, part in table.groupby(keys, sort=False, dropna=False):
        first = part.iloc[0]
        named = f"{first['model']} · {first['dtype']} · {method_label(first['method'], first['t'])}"
        console.print(f"{named} · nonfinite={first['nonfinite']}")
        console.print(_block(part))
    print("mean errors of weights that read finite, one flipped bit a word; closed: without codecs")


def _block(part: pd.DataFrame) -> Table:
    shown = Table(box=None, pad_edge=False)
    for name in ("bit", "class", "non-finite", "|error|", "closed", "error²", "closed"):
        shown.add_column(name, justify="left" if name == "class" else "right")
    means = ("absolute", "expected_absolute", "squared", "expected_squared")
    for row in part.iloc[::-1].to_dict("records"):
        numbers = [f"{row[name]:.4g}" for name in means]
        shown.add_row(str(row["bit"]), row["classes"], f"{row['nonfinite_share']:.2%}", *numbers)
    return shown

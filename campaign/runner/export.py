"""All rows of a results folder as one flat file."""

from __future__ import annotations

import sys
from pathlib import Path

from campaign.errors import SetupError, SpecError


def export_rows(folder: Path, format_: str, output: Path | None) -> None:
    """Write every row once, in the documented columns.

    Args:
        folder: A results folder.
        format_: ``csv`` or ``parquet``.
        output: The file; None writes csv to stdout.

    Raises:
        SpecError: If parquet has no file.
        SetupError: If there are no rows or the file cannot be written.
    """
    from campaign.engines.stores.reader import read_results

    if output is None and format_ == "parquet":
        raise SpecError("--format parquet needs a file: -o FILE")
    table = read_results(folder)
    try:
        if format_ == "parquet":
            import pyarrow.parquet as pq

            pq.write_table(table, str(output), compression="zstd")
        else:
            table.to_pandas().to_csv(output if output is not None else sys.stdout, index=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SetupError(f"{output}: cannot be written ({error})") from None
    if output is not None:
        print(f"wrote {table.num_rows} rows to {output}", file=sys.stderr)

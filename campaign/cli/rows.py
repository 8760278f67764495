"""Rows out of a results folder, and one of them run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from campaign.cli.options import AllowCode, AsJson
from campaign.cli.places import Folder, SomeFolder


def export(
    folder: Folder,
    format_: Annotated[
        Literal["csv", "parquet"] | None,
        typer.Option("--format", help="Kind of file; default: by its name, else csv."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; default: stdout for csv.")
    ] = None,
) -> None:
    """Write all rows as one flat table."""
    from campaign.runner.export import export_rows

    by_name = "parquet" if output is not None and output.suffix == ".parquet" else "csv"
    export_rows(folder, format_ or by_name, output)


def replay(
    trial_id: Annotated[str, typer.Argument(help="trial_id of a row, or its beginning.")],
    results: SomeFolder = Path("results"),
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Run one trial again and say whether flips and counts are the same."""
    from campaign.cli.show import show_replay
    from campaign.runner.history import folder_of_trial
    from campaign.runner.replay import replay as run_again

    made = run_again(folder_of_trial(results, trial_id), trial_id, allow_code=allow_code)
    raise typer.Exit(show_replay(made, as_json))


def compact(
    folder: Annotated[str, typer.Argument(help="A results folder or URL.", show_default=False)],
) -> None:
    """Merge the parts that rows lie in into few large ones; also after a crash in the middle."""
    from campaign.runner.compact import compact_folder

    before, after = compact_folder(folder)
    print(f"{folder}: {before} parts are now {after}")

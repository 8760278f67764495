"""Arguments that name where results are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Results = Annotated[
    str | None,
    typer.Option("--results", help="Folder or URL of the results instead of results/<name>."),
]


def _here(text: str) -> Path:
    from campaign.runner.place import here

    return here(text)


Folder = Annotated[
    Path,
    typer.Argument(
        help="A results folder, such as results/quickstart, or a URL such as s3://bucket/name.",
        show_default=False,
        parser=_here,
        metavar="FOLDER",
    ),
]
SomeFolder = Annotated[
    Path,
    typer.Option(
        "--results",
        help="A results folder, a folder of such folders, or the URL of a results folder.",
        parser=_here,
        metavar="FOLDER",
    ),
]

"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SpecPath = Annotated[Path, typer.Argument(help="The spec, a YAML file.", show_default=False)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one value: grid.seeds=5.", metavar="KEY=VALUE"),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        envvar="CAMPAIGN_ALLOW_CODE",
        help="Run the code that models of the spec name: hub repositories, module:callable.",
    ),
]

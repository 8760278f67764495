"""What single flips do to weights, on the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from campaign.cli.options import AllowCode, AsJson, Settings, SpecPath


def bit_errors(
    spec: SpecPath,
    settings: Settings = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV file, in full precision.")
    ] = None,
) -> None:
    """Say what a flip of each bit position does to the weights, measured and in closed form."""
    from campaign.cli.show_bits import show_bit_errors
    from campaign.runner.bit_errors import bit_errors as errors_of
    from campaign.spec.load import load

    loaded = load(spec, settings or ()).spec
    table = errors_of(loaded, lambda text: print(text, file=sys.stderr), allow_code=allow_code)
    show_bit_errors(table, as_json=as_json, output=output)

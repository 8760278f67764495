"""The command `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Results folders; each is compared with the first.", metavar="A B..."),
    ],
    against: Annotated[
        str | None,
        typer.Option(
            help="Compare the methods of each folder with this one, such as none.",
            metavar="METHOD",
        ),
    ] = None,
    across: Annotated[
        list[str] | None,
        typer.Option(help="A column that may differ, such as dtype; can be repeated."),
    ] = None,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Compare means, also of other test images.")
    ] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Set published numbers beside the folders too.")
    ] = False,
    metric: Annotated[Literal["top1", "top5"], typer.Option(help="Which accuracy.")] = "top1",
    interval: Annotated[
        Literal["bounded", "bootstrap"],
        typer.Option(help="Interval of a difference: allowing for fault maps not seen, or not."),
    ] = "bootstrap",
    format_: Annotated[
        Literal["text", "csv", "md", "json"] | None,
        typer.Option("--format", help="Default: by the name of the file, else text."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File, not stdout.")] = None,
) -> None:
    """Say what differs between campaigns, or between methods, and whether beyond noise."""
    from campaign.cli.show_comparison import show_comparison
    from campaign.runner.compare import Asked, compare_folders, published_beside

    asked = Asked(tuple(across or ()), against, metric, interval, unpaired)
    alone = published and len(folders) == 1 and against is None
    made = [] if alone else compare_folders(folders, asked)
    claims = published_beside(folders) if published else None
    show_comparison(made, claims, format_, output)

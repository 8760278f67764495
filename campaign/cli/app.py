"""The commands."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Literal

import typer

from campaign import __version__
from campaign.cli.bits import bit_errors
from campaign.cli.compare import compare
from campaign.cli.options import AllowCode, AsJson, Settings, SpecPath
from campaign.cli.places import Folder, Results
from campaign.cli.rows import compact, export, replay
from campaign.errors import CampaignError, SetupError, SpecError
from campaign.runner.signals import StoppedAtOnce
from campaign.text import redacted

app = typer.Typer(
    name="campaign",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure how neural networks survive bit errors in their stored weights.\n\n"
    "Exit codes: 0 complete; 1 internal error; 2 wrong spec or usage; 3 finished with failed "
    "trials; 4 stopped early, resumable; 5 results of another meaning; 6 environment; 7 another "
    "driver is at work; 130 and 143 after Ctrl-C and SIGTERM.",
)


def main() -> None:
    """Run the command line; problems with a name end in one line each and an exit code."""
    warnings.formatwarning = _in_a_line
    try:
        app()
    except CampaignError as error:
        told = redacted(str(error))
        print(told if isinstance(error, SpecError) else f"error: {told}", file=sys.stderr)
        sys.exit(error.exit_code)
    except StoppedAtOnce as stop:
        print("stopped; finished trials are kept, the same command goes on", file=sys.stderr)
        sys.exit(128 + stop.number)


def _in_a_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """A warning as users read it, without the place in the source."""
    return f"warning: {message}\n"


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"campaign {__version__}")
        raise typer.Exit


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to write the spec.")] = Path("campaign.yaml"),
) -> None:
    """Write a commented spec to start from."""
    from campaign.spec.schema import json_schema
    from campaign.spec.template import template

    if path.exists():
        raise SpecError(f"{path}: is there already; name another file")
    schema_path = path.with_name("campaign.schema.json")
    try:
        path.write_text(template(), "utf-8")
        if not schema_path.exists():
            schema_path.write_text(json.dumps(json_schema(), indent=2) + "\n", "utf-8")
    except OSError as error:
        raise SetupError(f"{path}: cannot be written ({error.strerror})") from None
    print(f"wrote {path}, and {schema_path} for editors")
    print(f"next: campaign plan {path}, then campaign run {path}")


@app.command()
def validate(spec: SpecPath, settings: Settings = None) -> None:
    """Check a spec: every fault in one line, with file, line and column."""
    from campaign.spec.expand import expand
    from campaign.spec.load import load

    grids = expand(load(spec, settings or ()).spec)
    trials = sum(grid.n_trials for grid in grids)
    print(f"{spec}: right; {len(grids)} setups, {trials} trials")


@app.command()
def plan(
    spec: SpecPath, results: Results = None, settings: Settings = None, as_json: AsJson = False
) -> None:
    """Say what a run would do: setups, trials, expected flips, time, size. Runs nothing."""
    from campaign.cli.show import show_plan
    from campaign.runner.history import plan_with_history
    from campaign.spec.load import load

    made = plan_with_history(load(spec, settings or ()).spec, results)
    show_plan(made, as_json=as_json)


@app.command()
def run(
    spec: SpecPath,
    results: Results = None,
    settings: Settings = None,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to join; default starts a local one.")
    ] = None,
    executor: Annotated[
        Literal["ray", "inline"] | None, typer.Option(help="Ray workers, or this process.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="How many workers.", min=1)] = None,
    limit: Annotated[
        int | None, typer.Option(help="At most so many trials now; code 4 if more are left.", min=1)
    ] = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Do not try failed trials again.")
    ] = False,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Make no tables and figures at the end.")
    ] = False,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Run the trials of a spec that have no result yet; the same command resumes."""
    from campaign.cli.progress import listener_for
    from campaign.cli.show import show_result
    from campaign.runner.result import Job, RunOptions
    from campaign.runner.run import run_campaign
    from campaign.spec.load import load

    loaded = load(spec, settings or ())
    options = RunOptions(
        results,
        address,
        executor,
        workers,
        limit=limit,
        keep_failed=keep_failed,
        report=not no_report,
        allow_code=allow_code,
    )
    with listener_for(as_json=as_json) as listener:
        job = Job(loaded.spec, loaded.text, loaded.resolved())
        result = run_campaign(job, options, listener)
    show_result(result, as_json=as_json)
    raise typer.Exit(result.exit_code)


@app.command()
def train(
    spec: SpecPath,
    results: Results = None,
    settings: Settings = None,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to join; default starts a local one.")
    ] = None,
    executor: Annotated[
        Literal["ray", "inline"] | None, typer.Option(help="Ray, or this process.")
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Run only the trainings of a spec that have not ended yet; run would do them too."""
    from campaign.cli.progress import listener_for
    from campaign.cli.show_training import show_trained
    from campaign.runner.result import Job, RunOptions
    from campaign.runner.run import train_campaign
    from campaign.spec.load import load

    loaded = load(spec, settings or ())
    with listener_for(as_json=as_json) as listener:
        job = Job(loaded.spec, loaded.text, loaded.resolved())
        options = RunOptions(results, address, executor, allow_code=allow_code)
        result = train_campaign(job, options, listener)
    show_trained(result, as_json=as_json)
    raise typer.Exit(result.exit_code)


@app.command()
def status(folder: Folder, as_json: AsJson = False) -> None:
    """Say how far a campaign is, also while it runs."""
    from campaign.cli.show import show_status
    from campaign.runner.history import status_of

    show_status(status_of(folder), as_json=as_json)


@app.command()
def report(
    folder: Folder,
    metric: Annotated[
        Literal["top1", "top5"], typer.Option(help="Which accuracy to show.")
    ] = "top1",
    interval: Annotated[
        Literal["bounded", "bootstrap"],
        typer.Option(help="Interval of a mean: allowing for fault maps not seen, or not."),
    ] = "bounded",
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="Results folder to compare with; may be given again."),
    ] = None,
) -> None:
    """Make report.html, tables (CSV, Markdown, LaTeX) and figures (PNG, SVG, PDF) of all rows."""
    from campaign.runner.place import publish
    from campaign.runner.report import make_report

    made = make_report(folder, [metric], interval, against=against or ())
    for path in made:
        print(path)
    if url := publish(folder, made):
        print(f"and in {url}")


for each in (bit_errors, compact, compare, export, replay):
    app.command()(each)


@app.command(name="list")
def list_(
    kind: Annotated[str, typer.Argument(help="formats, methods, faults, models or datasets.")],
    as_json: AsJson = False,
) -> None:
    """List what a spec can name."""
    from campaign.cli.show import show_catalogue

    show_catalogue(kind, as_json=as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a spec, for editors."""
    from campaign.spec.schema import json_schema

    print(json.dumps(json_schema(), indent=2))


@app.command()
def ui(
    root: Annotated[
        Path, typer.Argument(help="A results folder, or the folder of all of them.")
    ] = Path("results"),
    port: Annotated[int, typer.Option(help="Port of the dashboard.", min=0, max=65535)] = 8765,
    host: Annotated[
        str, typer.Option(help="Address of the dashboard; beyond 127.0.0.1 others can read it.")
    ] = "127.0.0.1",
    mlflow_port: Annotated[
        int, typer.Option(help="Port of the MLflow UI on 127.0.0.1.", min=1, max=65535)
    ] = 5000,
    no_mlflow: Annotated[bool, typer.Option("--no-mlflow", help="Only the dashboard.")] = False,
) -> None:
    """Start the live dashboard and the MLflow UI; Ctrl-C ends both."""
    from campaign.dashboard.serve import Ports, serve

    serve(root, Ports(host, port, None if no_mlflow else mlflow_port))


@app.command(name="sync-mlflow")
def sync_mlflow(folder: Folder) -> None:
    """Bring MLflow up to date with the rows, for instance after it was down."""
    from campaign.runner.sync import sync_folder

    uri, curves = sync_folder(folder)
    print(f"{curves} curves are in {uri}")

"""What commands print when they are done."""

from __future__ import annotations

import dataclasses
import inspect
import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from campaign.analysis.picture import Progress, key, picture
from campaign.cli.show_training import plan_sum, planned, told
from campaign.cli.terminal import printable, shows_blocks
from campaign.errors import SpecError
from campaign.registry import Registry, nearest, options_of

if TYPE_CHECKING:
    from campaign.runner.history import CampaignStatus
    from campaign.runner.plan import CampaignPlan
    from campaign.runner.replay import Replay
    from campaign.runner.result import RunResult


def show_plan(plan: CampaignPlan, *, as_json: bool) -> None:
    """Setups with their trials and expected flips, then totals and warnings."""
    if as_json:
        print(json.dumps(_plan_json(plan)))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("setup", "trials", "exposed bits", "expected flips", "s/trial"):
        table.add_column(column, justify="left" if column == "setup" else "right")
    for row in plan.setups:
        flips = row.expected_flips()
        span = f"{flips[0][1]:.3g} to {flips[-1][1]:.3g}" if flips else "?"
        told = "<= " * row.bits_are_bound + "~ " * row.bits_are_about
        bits = "?" if row.bits is None else f"{told}{row.bits:,}"
        seconds = "?" if row.seconds is None else f"{row.seconds:.3g}"
        table.add_row(row.setup.label, str(row.trials), bits, span, seconds)
    console = _console()
    if plan.trainings:
        console.print(planned(plan.trainings))
        print(f"\n{plan_sum(plan.trainings)}\n")
    console.print(table)
    bers = sorted({ber for row in plan.setups for ber in row.bers})
    print(f"\nBER: 0 and {len(bers)} from {bers[0]:g} to {bers[-1]:g}" if bers else "\nBER: 0")
    most = "" if plan.half_width is None else "at most "
    print(f"{len(plan.setups)} setups, {most}{plan.trials} trials, {plan.done} of them done")
    if plan.half_width is not None:
        print(f"adaptive: trials are added until every mean is known to {_points(plan.half_width)}")
    source = "measured" if plan.measured else "assumed rates"
    if plan.seconds is not None:
        print(f"{most or 'about '}{plan.seconds / 3600:.3g} worker-hours ({source})")
    print(f"{most or 'about '}{plan.bytes / 1e6:.3g} MB of rows; nothing was run")
    for warning in plan.warnings():
        print(f"note: {warning}")


def _points(share: float) -> str:
    return f"+-{100 * share:g} points"


def _plan_json(plan: CampaignPlan) -> dict[str, Any]:
    return {
        "campaign": plan.name,
        "trials": plan.trials,
        "adaptive_half_width": plan.half_width,
        "done": plan.done,
        "worker_seconds": plan.seconds,
        "measured": plan.measured,
        "bytes": plan.bytes,
        "warnings": list(plan.warnings()),
        "trainings": [dataclasses.asdict(row) for row in plan.trainings],
        "setups": [
            {
                "setup": row.setup.label,
                "trials": row.trials,
                "exposed_bits": row.bits,
                "expected_flips": dict(row.expected_flips()),
                "seconds_per_trial": row.seconds,
            }
            for row in plan.setups
        ],
    }


_SHOWN = {".html": "report", ".md": "table", ".png": "figure"}
"""What of a report is named at the end of a run, by suffix."""


def show_result(result: RunResult, *, as_json: bool) -> None:
    """Totals, failures by cause, what was written, and how to go on."""
    if as_json:
        print(json.dumps({"event": "done", **_result_json(result)}))
        return
    left, command = result.total - result.ok, shlex.join(["campaign", *sys.argv[1:]])
    print(f"{result.ok} of {result.total} trials done ({result.ran} now, {result.seconds:.1f} s)")
    for (status, kind, message), count in result.failures.items():
        print(f"failed: {count} x {status}: {kind}: {message}")
    for line in result.capped:
        print(f"given up at max_seeds: {line}")
    if result.failures:
        print(f"failed trials are tried again by: {command}")
    elif left:
        print(f"{left} trials are left; go on with: {command}")
    print(f"rows:    {result.results / 'trials'}")
    for path in result.written:
        if what := _SHOWN.get(path.suffix):
            print(f"{what + ':':8} {path}")
    if result.tracking_uri:
        print(f"browse:  campaign ui {result.results}")


def _result_json(result: RunResult) -> dict[str, Any]:
    failures = [
        {"status": k[0], "type": k[1], "error": k[2], "n": n} for k, n in result.failures.items()
    ]
    return {
        "exit_code": result.exit_code,
        "results": str(result.results),
        "total": result.total,
        "ok": result.ok,
        "ran": result.ran,
        "seconds": result.seconds,
        "failures": failures,
        "capped": result.capped,
        "written": [str(path) for path in result.written],
    }


def show_status(status: CampaignStatus, *, as_json: bool) -> None:
    """A row a setup, with its curve so far; no more than 80 columns."""
    if as_json:
        found = {**dataclasses.asdict(status), "folder": str(status.folder)}
        print(json.dumps({**found, "total": status.total, "ok": status.ok}))
        return
    failed = f", {status.failed} failed" if status.failed else ""
    print(f"{status.name}: {status.state}, {status.ok} of {status.total} trials{failed}")
    plain = not shows_blocks(sys.stdout)
    rows = [Progress(row.label, row.accuracies, f"{row.ok}/{row.total}") for row in status.setups]
    for line in ["", *picture(rows, plain=plain), "", key(plain=plain)]:
        print(printable(line, ascii_only=plain))
    for training in told(status.trainings):
        print(training)
    for kind, error_type, message, count in status.failures:
        print(f"failed: {count} x {kind}: {error_type}: {message}")
    for line in status.capped:
        print(f"given up at max_seeds: {line}")
    if status.others:
        print(f"{status.others} more rows belong to points that the last spec no longer has")


def show_replay(replay: Replay, as_json: bool) -> int:
    """What was and what is; returns the exit code: 0 the same, 3 not."""
    held, new = replay.held, replay.new
    if as_json:
        print(json.dumps({"same": not replay.differing, "held": held, "new": new}))
        return 3 if replay.differing else 0
    print(f"{held['trial_id']}: {held['model']} · {held['dtype']} · {held['method']}")
    if held["status"] != "ok":
        print(f"  then: {held['status']}: {held['error_type']}: {held['error']}")
    for name in ("flipped_bits", "flips_digest", "n_correct", "n_nonfinite", "n_sdc"):
        mark = "differs" if name in replay.differing else "same"
        print(f"  {name:13} {held[name]} -> {new[name]}  {mark}")
    if new["status"] != "ok":
        print(f"  now:  {new['status']}: {new['error_type']}: {new['error']}")
    if replay.differing:
        print(f"not the same: {', '.join(replay.differing)}")
        if (held["device"], held["compute"]) != (new["device"], new["compute"]):
            print(f"  then: {held['device']}, {held['compute']}")
            print(f"  now:  {new['device']}, {new['compute']}")
        return 3
    same = "flips and all counts" if new["status"] == "ok" else "it fails again"
    print(f"the same: {same}")
    return 0


def show_catalogue(kind: str, *, as_json: bool) -> None:
    """Every name of one kind with its options and first sentence."""
    registry = _registry(kind)
    rows = [_entry(cls) for cls in registry]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table(box=None, pad_edge=False, show_lines=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what")
    table.add_column("options")
    for row in rows:
        table.add_row(row["name"], row["what"], _options(row["options"]))
    _console().print(table)


def _entry(cls: type[Any]) -> dict[str, Any]:
    defaults = {f.name: f.default for f in dataclasses.fields(cls)}
    options = {
        name: None if defaults[name] is dataclasses.MISSING else defaults[name]
        for name in options_of(cls)
    }
    text = (inspect.getdoc(cls) or "").split("\n\n")[0]
    return {"name": str(cls.name), "what": " ".join(text.split()), "options": options}


def _options(options: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


def _registry(kind: str) -> Registry[Any]:
    from campaign.faults import FAULTS
    from campaign.formats import FORMATS
    from campaign.methods import METHODS
    from campaign.sources import DATASETS, MODELS

    known: dict[str, Registry[Any]] = {
        "formats": FORMATS,
        "methods": METHODS,
        "faults": FAULTS,
        "models": MODELS,
        "datasets": DATASETS,
    }
    if kind not in known:
        names: Iterable[str] = known
        raise SpecError(
            f"list: got {kind!r}{nearest(kind, list(names))}; allowed: {', '.join(known)}"
        )
    return known[kind]


def _console() -> Console:
    """Stdout; as wide as needed where it is no terminal, so that rows stay on one line."""
    console = Console(markup=False)
    return console if console.is_terminal else Console(width=200, markup=False)

"""Strike a running campaign with every fault; its rows must equal those of a calm run.

uv run python benchmarks/chaos.py
uv run python benchmarks/chaos.py --only full_disk workers_killed
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import chaos_cluster
import chaos_faults
from chaos_driver import Case, Tally
from chaos_faults import SkippedError

ALONE: dict[str, Callable[[Case], Tally]] = {
    "driver killed": chaos_faults.driver_killed,
    "last part corrupted": chaos_faults.corrupted_part,
    "disk full": chaos_faults.full_disk,
    "results read-only": chaos_faults.read_only,
    "two drivers at once": chaos_faults.two_drivers,
    "batch out of memory": chaos_faults.out_of_memory,
    "network raises or answers NaN": chaos_faults.troubled_model,
    "clock jumps by a day": chaos_faults.clock_jumps,
    "MLflow server killed": chaos_faults.mlflow_restarted,
}
ON_RAY: dict[str, Callable[[Case], Tally]] = {
    "workers killed": chaos_cluster.workers_killed,
    "workers stopped": chaos_cluster.workers_stopped,
    "driver and cluster killed": chaos_cluster.driver_killed_on_ray,
    "driver told to end": chaos_cluster.driver_terminated,
    "node killed, comes back": chaos_cluster.node_killed,
    "node cut off": chaos_cluster.node_cut_off,
}
HEAD = ("fault", "injected", "lost", "doubled", "differing", "recovery, s", "ending")
MARKS = "<!-- chaos -->", "<!-- /chaos -->"


def case_of(name: str, root: Path, *, seeds: int | None = None) -> Case:
    """The campaign that a fault strikes: a few seconds of work, more on Ray."""
    if name in ON_RAY:
        return Case(root, "ray", seeds or (500 if name.startswith("node") else 250))
    return Case(root, "inline", seeds or 60)


def strike(name: str, root: Path, *, seeds: int | None = None) -> Tally:
    """Run one fault in an empty folder.

    Raises:
        SkippedError: If the machine cannot make it.
        AssertionError: If the run did not end as documented.
    """
    return {**ALONE, **ON_RAY}[name](case_of(name, root, seeds=seeds))


def row_of(name: str, tally: Tally) -> str:
    """A line of the table."""
    took = "" if tally.recovery is None else f"{tally.recovery:.1f}"
    cells = (name, tally.injected, tally.lost, tally.doubled, tally.differing, took, tally.ending)
    return f"| {' | '.join(map(str, cells))} |"


def put(page: Path, lines: Sequence[str]) -> None:
    """Replace what stands between the marks of a page."""
    text = page.read_text("utf-8")
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    page.write_text("\n".join([f"{before}{MARKS[0]}", *lines, f"{MARKS[1]}{after}"]), "utf-8")


def main() -> None:
    """Print the table; code 1 where a trial was lost, doubled or changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*ALONE, *ON_RAY], metavar="FAULT")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into a page")
    arguments = parser.parse_args()
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    print(*lines, sep="\n", flush=True)
    sound = True
    for name in arguments.only or [*ALONE, *ON_RAY]:
        with tempfile.TemporaryDirectory(prefix="chaos-") as root:
            try:
                tally = strike(name, Path(root))
            except SkippedError as reason:
                print(f"skipped: {name}: {reason}", flush=True)
                continue
        sound &= tally.is_sound
        lines.append(row_of(name, tally))
        print(lines[-1], flush=True)
    if arguments.write is not None and sound:
        put(arguments.write, lines)
    raise SystemExit(0 if sound else 1)


if __name__ == "__main__":
    main()

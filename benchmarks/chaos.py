"""Kill the driver or a worker again and again; the rows must equal those of an unbroken run.

uv run python benchmarks/chaos.py specs/quickstart.yaml --kills 20
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from campaign.engines.stores.reader import read_results
from campaign.errors import CampaignError
from campaign.records import RESULT_COLUMNS

MARK = "CAMPAIGN_CHAOS_RUN"


@dataclass(frozen=True)
class Kill:
    """One kill and what was seen."""

    target: str
    rows_before: int
    rows_after: int


def rows_of(folder: Path) -> dict[str, tuple[object, ...]]:
    """Results by trial id; raises if an id stands twice."""
    try:
        table = read_results(folder).to_pylist()
    except CampaignError:
        return {}
    if len({row["trial_id"] for row in table}) != len(table):
        raise SystemExit("FAIL: a trial id stands twice")
    return {row["trial_id"]: tuple(row[c] for c in RESULT_COLUMNS) for row in table}


def start(spec: str, folder: Path, mark: str) -> subprocess.Popen[bytes]:
    """`campaign run`, recognisable in the process table by its mark."""
    command = [sys.executable, "-m", "campaign", "run", spec, "--results", str(folder)]
    command += ["--set", "output.mlflow=false", "--no-report"]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env={**os.environ, MARK: mark}, stdout=quiet, stderr=quiet)


def workers_of(mark: str) -> list[int]:
    """Processes of Ray actors that descend from the run with this mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                marked = f"{MARK}={mark}".encode() in (entry / "environ").read_bytes()
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            # Ray calls an idle worker ray::IDLE and an actor ray::<Class>...
            if marked and title.startswith(b"ray::") and b"Agent" not in title:
                found += [int(entry.name)] if b"IDLE" not in title else []
    return found


def leftovers(mark: str) -> list[int]:
    """Processes that still carry the mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_for(folder: Path, rows: int, process: subprocess.Popen[bytes]) -> int:
    """Wait until the folder has so many rows, or the run ends; returns how many there are."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        held = len(rows_of(folder))
        if held >= rows or process.poll() is not None:
            return held
        time.sleep(0.05)
    raise SystemExit("FAIL: no progress for 180 s")


def kill_once(spec: str, folder: Path, chance: random.Random, stride: int) -> Kill | None:
    """Run, kill something after a random number of new rows, end the run; None if it finished."""
    mark = uuid.uuid4().hex
    before = len(rows_of(folder))
    process = start(spec, folder, mark)
    held = wait_for(folder, before + chance.randint(1, stride), process)
    target = "driver"
    victims = workers_of(mark)
    if process.poll() is None and victims and chance.random() < 0.5:
        target = "worker"
        os.kill(chance.choice(victims), signal.SIGKILL)
        wait_for(folder, held + chance.randint(1, stride // 2), process)
    finished = process.poll() is not None
    process.kill()
    process.wait()
    for pid in leftovers(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    after = len(rows_of(folder))
    if after < held:
        raise SystemExit(f"FAIL: {held} rows were durable, {after} are left")
    return None if finished else Kill(target, before, after)


def main() -> None:
    """Print a line a kill, then the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        whole, broken = Path(name) / "whole", Path(name) / "broken"
        started = time.monotonic()
        start(arguments.spec, whole, "unbroken").wait()
        unbroken = rows_of(whole)
        print(f"unbroken: {len(unbroken)} rows in {time.monotonic() - started:.0f} s", flush=True)
        stride = max(2, len(unbroken) // (arguments.kills + 5))
        done = 0
        while done < arguments.kills:
            kill = kill_once(arguments.spec, broken, chance, stride)
            if kill is None:
                break
            done += 1
            print(
                f"kill {done}: {kill.target}, {kill.rows_before} -> {kill.rows_after} rows",
                flush=True,
            )
        start(arguments.spec, broken, "last").wait()
        same = rows_of(broken) == unbroken
    print(f"{done} kills; rows equal to the unbroken run: {same}; no id twice")
    raise SystemExit(0 if same and done == arguments.kills else 1)


if __name__ == "__main__":
    main()

"""What the driver takes for 1,000 to 1,000,000 trials: to plan, to keep, to resume, to read.

Trials compute nothing, all else is what a campaign runs: the grid and its ids, the lease queue, the
journal, sealed parts. Each stage is a process of its own, so that its memory is its own; its
imports are not timed.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from campaign.engines.executors.gather import gather
from campaign.engines.executors.lease import LeaseQueue
from campaign.engines.stores.parquet import ParquetStore
from campaign.engines.stores.reader import read_results
from campaign.records import COLUMNS, TrialRecord
from campaign.runner.afterwards import Afterwards
from campaign.runner.compact import compact_folder
from campaign.runner.folder import ResultsFolder
from campaign.runner.history import spec_of, status_of
from campaign.runner.report import curves_of, make_report
from campaign.runner.run import failures_of, unfinished
from campaign.runner.trials import trials_in
from campaign.spec.expand import SetupGrid, expand
from campaign.spec.grid import Point, Setup
from campaign.spec.identity import Digests, identify
from campaign.spec.load import load

SPEC = """
name: scale
models: digits_cnn
dataset: digits
grid:
  dtype: [fp32, fp16, bf16, int8, q2_5]
  method: [none, weight_clipping, nan_filter, [weight_clipping, nan_filter]]
  ber: [1.0e-6, 3.0e-6, 1.0e-5, 3.0e-5, 1.0e-4, 3.0e-4, 1.0e-3, 3.0e-3, 1.0e-2, 3.0e-2]
  seeds: {seeds}
  nonfinite: zero
"""
CELLS = 200
"""Setups times BERs above 0."""
STAGES = ("plan", "run", "resume", "close", "compact", "status", "read", "curves", "report")
LIMITS = {"plan": 10.0, "resume": 5.0, "report": 60.0}
"""Seconds that a stage may take for a million trials."""
MOST_MIB = 1024
"""Memory that a stage may take for a million trials."""


class Quiet:
    """Listens to nothing."""

    def note(self, text: str) -> None: ...

    def planned(self, total: int, done: int, todo: int, results: Path) -> None: ...

    def progressed(self, records: Sequence[TrialRecord], status: Mapping[str, object]) -> None: ...


def grids_of(trials: int, folder: Path) -> list[SetupGrid]:
    """The grid of a campaign of about so many trials, with its ids."""
    path = folder / "spec.yaml"
    path.write_text(SPEC.format(seeds=max(1, trials // CELLS)))
    loaded = load(path)
    grids = expand(loaded.spec)
    results = ResultsFolder(folder / "results")
    results.make()
    results.write_spec(loaded.text, loaded.resolved())
    return identify(grids, Digests({"digits_cnn": "1" * 64}, "2" * 64))


def plan(trials: int, folder: Path) -> int:
    tasks = unfinished(grids_of(trials, folder), {}, keep_failed=False)
    return sum(len(task.points) for task in tasks)


def run(trials: int, folder: Path) -> int:
    """Lease every point to two workers in turn, and keep the rows as they come."""
    store = ParquetStore(folder / "results")
    tasks = unfinished(grids_of(trials, folder), store.done(), keep_failed=False)
    queue = LeaseQueue(tasks, batch_seconds=5.0, max_attempts=3)
    del tasks
    kept, worker = 0, 0
    while queue.queued:
        worker = 1 - worker
        lease = queue.take(worker, workers=2, idle=True)
        if lease is None:
            continue
        records = no_ops(lease.setup, list(lease.pending.values()))
        for rows in gather(records, lambda: False):
            kept += store.append(queue.receive(lease, rows))
    store.close()
    return kept


def resume(trials: int, folder: Path) -> int:
    """Find that nothing is left to do."""
    store = ParquetStore(folder / "results")
    done = store.done()
    left = unfinished(grids_of(trials, folder), done, keep_failed=False)
    if left:
        raise RuntimeError(f"{sum(len(task.points) for task in left)} trials were not kept")
    store.close()
    return len(done)


def close(trials: int, folder: Path) -> int:
    """Count what is done and make the report, as a run does last."""
    store = ParquetStore(folder / "results")
    done, listener = store.done(), Quiet()
    ok = sum(done[p.trial_id] == "ok" for grid in grids_of(trials, folder) for p in grid.points())
    failures_of(store)
    after = Afterwards(
        spec_of(folder / "results"), ResultsFolder(folder / "results"), store, listener
    )
    after.report()
    store.close()
    return ok


def compact(trials: int, folder: Path) -> int:
    compact_folder(folder / "results")
    return trials


def status(trials: int, folder: Path) -> int:
    return status_of(folder / "results").ok


def read(trials: int, folder: Path) -> int:
    return int(read_results(folder / "results").num_rows)


def curves(trials: int, folder: Path) -> int:
    found = trials_in(folder / "results")
    curves_of(found)
    return len(found)


def report(trials: int, folder: Path) -> int:
    make_report(folder / "results", ["top1"])
    return trials


def no_ops(setup: Setup, points: Sequence[Point]) -> Iterator[TrialRecord]:
    """Rows as trials give them, of counts that nobody computed."""
    row: dict[str, Any] = {
        **dict.fromkeys(COLUMNS),
        "setup_id": setup.setup_id,
        "campaign": setup.campaign,
        "model": setup.model_name,
        "dataset": setup.dataset_name,
        "dtype": setup.dtype.label,
        "method": setup.method,
        "t": setup.t,
        "nonfinite": setup.nonfinite,
        "fault": setup.fault_name,
        "targets": setup.targets.label,
        "status": "ok",
        **dict.fromkeys([name for name in COLUMNS if name.startswith("n_")], 0),
        "n_samples": 360,
        "n_fault_free": None,
        "n_weights": 6000,
        "stored_bits": 192_000,
        "check_bits": 0,
        "exposed_bits": 192_000,
        "seconds": 0.05,
        "device": "cpu",
        "host": "node",
        "compute": "fp32 batch=360 threads=1",
        "code_version": "0.1.0",
        "attempt": 1,
    }
    for point in points:
        n = point.seed
        yield TrialRecord(
            **{
                **row,
                "trial_id": point.trial_id,
                "ber": point.ber,
                "seed": n,
                "n_correct": 340 - n % 97,
                "n_correct_top5": 350 - n % 31,
                "n_masked": 263 + n % 97,
                "n_sdc": 97 - n % 97,
                "flipped_bits": n % 13,
                "flipped_words": n % 13,
                "flips_digest": f"{n:016x}",
                "finished_at": 1.7e9 + n / 7,
            }
        )


def measure(stage: str, trials: int, folder: Path) -> dict[str, float]:
    """Run one stage here; its seconds, of the processor too, and the peak of the memory."""
    chosen: Callable[[int, Path], int] = globals()[stage]
    begun, before = time.perf_counter(), time.process_time()
    count = chosen(trials, folder)
    return {
        "trials": count,
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - before,
        "peak_mib": _peak_mib(),
    }


def _peak_mib() -> float:
    """Of this program alone: what ``getrusage`` tells includes the program that started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return math.nan


def in_a_process(stage: str, trials: int, folder: Path) -> dict[str, float]:
    """Measure a stage in a new interpreter."""
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    done = subprocess.run([*command, "--trials", str(trials)], check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def table(stages: Sequence[str], sizes: Sequence[int], folder: Path) -> None:
    """Print a line for each stage and size, then what a further trial costs."""
    found: dict[str, list[dict[str, float]]] = {stage: [] for stage in stages}
    print("| stage | trials | seconds | CPU seconds | us/trial | peak MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for trials in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            for stage in stages:
                m = in_a_process(stage, trials, Path(place))
                found[stage].append(m)
                each = 1e6 * m["seconds"] / m["trials"]
                print(
                    f"| {stage} | {m['trials']:,} | {m['seconds']:.2f} | {m['cpu_seconds']:.2f} "
                    f"| {each:.1f} | {m['peak_mib']:.0f} |",
                    flush=True,
                )
    print()
    for stage, measured in found.items():
        print(f"{stage}: {slopes(measured)}{over_limit(stage, measured[-1])}")


def slopes(measured: Sequence[dict[str, float]]) -> str:
    """Microseconds and bytes of one more trial between neighbouring sizes."""
    told = []
    for a, b in pairwise(measured):
        more = b["trials"] - a["trials"]
        microseconds = 1e6 * (b["seconds"] - a["seconds"]) / more
        size = (b["peak_mib"] - a["peak_mib"]) * 2**20 / more
        told.append(
            f"{a['trials']:,.0f} to {b['trials']:,.0f}: {microseconds:.2f} us, {size:.0f} B"
        )
    return "; ".join(told)


def over_limit(stage: str, last: dict[str, float]) -> str:
    """What of a stage is beyond what it may take for a million trials; empty where nothing is."""
    over = []
    if last["seconds"] > LIMITS.get(stage, math.inf):
        over.append(f"{last['seconds']:.1f} s of {LIMITS[stage]:g} s")
    if last["peak_mib"] > MOST_MIB:
        over.append(f"{last['peak_mib']:.0f} MiB of {MOST_MIB} MiB")
    return f"; over its limit: {', '.join(over)}" if over else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e3, 1e4, 1e5, 1e6])
    parser.add_argument("--stages", nargs="+", default=list(STAGES))
    parser.add_argument("--folder", type=Path, help="where results are written, then removed")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--trials", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.stage:
        print(json.dumps(measure(chosen.stage, chosen.trials, chosen.folder)))
    else:
        table(chosen.stages, [int(size) for size in chosen.sizes], chosen.folder)


if __name__ == "__main__":
    main()

"""What Ray adds to trials of a known length: the time of two workers against the trials' own."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from campaign.engines.executors.ray import RayExecutor
from campaign.engines.stores.parquet import ParquetStore
from campaign.records import COLUMNS, Failure, TrialRecord
from campaign.spec.expand import expand
from campaign.spec.grid import Point, Setup, SetupPoints, points_of
from campaign.spec.identity import Digests, identify
from campaign.spec.load import load

SPEC = """
name: overhead
models: digits_cnn
dataset: digits
grid: {dtype: fp32, method: none, ber: 1.0e-3, seeds: 10, nonfinite: zero}
"""


@dataclass(frozen=True)
class Sleep:
    """Trials that take so many seconds and no processor; one may kill its worker, once."""

    seconds: float
    fatal: int = -1
    """The seed of the one that does, -1 for none."""

    def open(self, assets: Callable[[str], object]) -> Sleep:
        return self

    def trials(self, setup: Setup, points: Sequence[Point], attempt: int) -> Iterator[TrialRecord]:
        for point in points:
            begun = time.perf_counter()
            if point.seed == self.fatal and attempt == 1:
                os._exit(1)
            time.sleep(self.seconds)
            yield record(setup, point, time.perf_counter() - begun)

    def failed(self, setup: Setup, point: Point, failure: Failure) -> TrialRecord:
        raise RuntimeError(failure.error)


def record(setup: Setup, point: Point, seconds: float) -> TrialRecord:
    row: dict[str, Any] = {name: "x" for name in COLUMNS[:5]}
    row |= {name: None for name in COLUMNS[5:]}
    row |= {"trial_id": point.trial_id, "setup_id": setup.setup_id, "status": "ok"}
    row |= {"ber": point.ber, "seed": point.seed, "seconds": seconds, "attempt": 1}
    return TrialRecord(**{**row, "finished_at": time.time()})


def measure(
    setup: Setup, trials: int, work: Sleep, workers: int, batch_seconds: float
) -> tuple[float, float]:
    """Seconds from the first row to the last, and what the trials in between took a worker."""
    executor = RayExecutor(
        workers=workers, cpus_per_worker=1, gpus_per_worker=0, batch_seconds=batch_seconds
    )
    task = SetupPoints(setup, tuple(points_of(setup, [1e-3], range(trials))))
    with tempfile.TemporaryDirectory() as folder:
        store, begun, slept = ParquetStore(Path(folder)), 0.0, 0.0
        try:
            executor.start()
            for rows in executor.run([task], work, {}):
                store.append(rows)
                if begun:
                    slept += sum(row.seconds for row in rows)
                begun = begun or time.perf_counter()
            ended = time.perf_counter()
        finally:
            executor.close()
            store.close()
    return ended - begun, slept / workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.05, 0.2])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--total", type=float, default=20.0, help="seconds of trials a worker")
    parser.add_argument("--batch-seconds", type=float, nargs="+", default=[5.0])
    parser.add_argument(
        "--kill", action="store_true", help="a trial in the middle kills its worker"
    )
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.yaml"
        path.write_text(SPEC)
        grids = expand(load(path).spec)
        (grid,) = identify(grids, Digests({"digits_cnn": "1" * 64}, "2" * 64))
    cases = [(seconds, batch) for seconds in chosen.seconds for batch in chosen.batch_seconds]
    shares: dict[tuple[float, float], list[float]] = {case: [] for case in cases}
    for _ in range(chosen.repeat):
        for (seconds, batch), found in shares.items():
            trials = int(chosen.workers * chosen.total / seconds)
            work = Sleep(seconds, trials // 2 if chosen.kill else -1)
            wall, slept = measure(grid.setup, trials, work, chosen.workers, batch)
            found.append(wall / slept - 1)
    for (seconds, batch), found in shares.items():
        told = ", ".join(f"{100 * share:.1f}" for share in found)
        print(
            f"{1000 * seconds:g} ms, batches of {batch:g} s: overhead {100 * median(found):.1f} % "
            f"({told})"
        )


if __name__ == "__main__":
    main()

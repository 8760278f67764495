"""Trials on several workers: plain processes, and Ray."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from statistics import median

from cases import Case, make_case

from campaign.spec.grid import Point, SetupPoints
from campaign.trial.worker import TrialWork, TrialWorker

OPEN: dict[str, tuple[Case, TrialWorker]] = {}


class Workers:
    """Processes of one thread with a setup prepared, which take batches of trials in turn."""

    def __init__(self, name: str, arguments: argparse.Namespace, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        given = (name, arguments, context.Barrier(count))
        self.pool = ProcessPoolExecutor(count, context, _open, given)
        self.case = make_case(name, arguments)
        list(self.pool.map(run, [self.case.points(0, 1)] * count))

    def turn(self, batches: Sequence[Sequence[Point]]) -> tuple[float, float]:
        """Seconds of a trial: on the wall, and of the processors."""
        count, begun = sum(map(len, batches)), time.perf_counter()
        computed = sum(self.pool.map(run, batches))
        return (time.perf_counter() - begun) / count, computed / count

    def close(self) -> None:
        self.pool.shutdown()


def _open(name: str, arguments: argparse.Namespace, together: Barrier) -> None:
    case = make_case(name, arguments)
    worker = TrialWork("benchmark", use_gpu=False).open(case.assets.get)
    worker._ready(case.setup)
    OPEN["worker"] = case, worker
    together.wait()


def run(points: Sequence[Point]) -> float:
    """Run trials here; seconds of the processor."""
    case, worker = OPEN["worker"]
    begun = time.process_time()
    successful(worker, case, points)
    return time.process_time() - begun


def successful(worker: TrialWorker, case: Case, points: Sequence[Point]) -> None:
    """Run trials, none of which may fail."""
    for record in worker.trials(case.setup, points, 1):
        if record.status != "ok":
            raise RuntimeError(record.error)


def scaling(name: str, arguments: argparse.Namespace) -> None:
    """Print what two Ray workers do against one."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(max(1, arguments.repeats // 3)):
        for workers, found in rates.items():
            found.append(_on_ray(name, workers, arguments))
    ratios = sorted(b / a for a, b in zip(rates[1], rates[2], strict=True))
    told = " ".join(f"{ratio:.2f}" for ratio in (ratios[0], median(ratios), ratios[-1]))
    print(
        f"{name} on Ray: {median(rates[1]):.0f} trials/h on one worker, {median(rates[2]):.0f} "
        f"on two; ratio min median max {told}",
        flush=True,
    )


def _on_ray(name: str, workers: int, arguments: argparse.Namespace) -> float:
    """Trials an hour on Ray workers of one thread, from when all are at work to the last row."""
    from campaign.engines.executors.ray import RayExecutor

    case = make_case(name, arguments)
    tasks = [SetupPoints(case.setup, tuple(case.points(0, arguments.ray_trials)))]
    executor = RayExecutor(workers=workers, gpus_per_worker=0, batch_seconds=1.0)
    arrivals = list[tuple[float, int]]()
    try:
        executor.start()
        for records in executor.run(tasks, TrialWork("benchmark", use_gpu=False), case.assets):
            arrivals.append((time.perf_counter(), len(records)))
    finally:
        executor.close()
    counted = arrivals[len(arrivals) // 4 :]  # workers start one after the other
    return 3600 * sum(n for _, n in counted[1:]) / (counted[-1][0] - counted[0][0])

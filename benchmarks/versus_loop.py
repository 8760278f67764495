"""Whole trials against the loop that one writes without this package, turn by turn.

uv run python benchmarks/versus_loop.py [--case cifar_resnet20] [--grid low] [--device cuda] [--ray]

The loop copies the network, draws a number for every stored bit, flips, and sends a TensorDataset
through a DataLoader at the best batch size of 64 to 512. It has a process of its own, for workers
change how theirs allocates memory; sides never compute at the same time. Without `--grid`, one
worker meets a loop of as many threads; `--pair` and `--grid` let two workers of one thread meet a
loop with the threads that torch takes by itself. PyTorchFI joins where it can be imported. Weights
of ResNets are random unless CAMPAIGN_DATA names a folder with the ResNet-20. On a machine that
others use too, `--clock cpu` counts the time of the processor and not the waiting for it.
"""

from __future__ import annotations

import argparse
import importlib.util
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median

import torch
from cases import CASES, GRIDS, Case, make_case
from plain import CLOCKS, Clock, LoopProcess, PlainLoop, PyTorchFi, fastest, timed
from workers import Workers, scaling, successful

from campaign.trial.run import FaultMap, Tally, faulty
from campaign.trial.worker import TrialWork, TrialWorker

FORWARD_BATCHES = (16, 64, 128, 256, 512)
PEAK_SIDE = 1536


def forward_only(worker: TrialWorker, case: Case) -> Callable[[], object]:
    """The fault-free pass of the fast way, alone, at its best batch size."""
    ready = worker._ready(case.setup)

    def answering(size: int) -> Callable[[], object]:
        return lambda: ready.forward.answers(ready.data.in_batches(size)).sum().item()

    sizes = (*FORWARD_BATCHES, ready.data.batch_size)
    return answering(min(sizes, key=lambda size: fastest(answering(size), 3)))


def trials(worker: TrialWorker, case: Case) -> Iterator[Callable[[], object]]:
    """Each a turn of fresh trials."""
    first = 1
    while True:
        points = case.points(first, case.per_turn)
        first += case.per_turn
        yield lambda points=points: successful(worker, case, points)


def compare(name: str, arguments: argparse.Namespace) -> None:
    """Print a table of one case: one worker, turn by turn with the loops."""
    case, gpu = make_case(name, arguments), arguments.device == "cuda"
    work = TrialWork("benchmark", threads=arguments.threads, use_gpu=gpu)
    workers = [replace(work, mode=mode).open(case.assets.get) for mode in ("fast", "reference")]
    fast, reference = (trials(worker, case) for worker in workers)
    loops = {"loop": LoopProcess(name, arguments, PlainLoop, arguments.threads)}
    if importlib.util.find_spec("pytorchfi") is None:
        print("pytorchfi cannot be imported: not compared")
    else:
        loops["pytorchfi"] = LoopProcess(name, arguments, PyTorchFi, arguments.threads)
    forward = forward_only(workers[0], case)
    next(fast)(), next(reference)()
    spent: dict[str, list[float]] = {}
    injecting = 0.0
    for _ in range(arguments.repeats):
        spent.setdefault("fast", []).append(timed(next(fast)) / case.per_turn)
        for kind, loop in loops.items():
            turn = loop.turn(case.per_turn)
            spent.setdefault(kind, []).append(turn.seconds)
            injecting = turn.injecting / turn.seconds if kind == "loop" else injecting
        spent.setdefault("reference", []).append(timed(next(reference)) / case.per_turn)
        spent.setdefault("forward", []).append(timed(forward))
    batch = loops["loop"].turn(1).batch
    for loop in loops.values():
        loop.close()
    compute = next(workers[0].trials(case.setup, case.points(0, 1), 1)).compute
    print(f"\n{name}, {len(case.images.labels)} images, BER {case.ber:g}; ours: {compute}")
    told(spent, len(case.images.labels))
    print(f"loop: batch {batch}, {injecting:.0%} of its time in the injection")
    if not gpu:
        limits(workers[0], case, spent)


def told(spent: dict[str, list[float]], images: int) -> None:
    """Print rates, and ratios of the turns."""
    print(f"{'':10} {'trials/h':>10} {'images/s':>10}   loop's time / its, min median max")
    for name, seconds in spent.items():
        rate = 1 / median(seconds)
        ratios = spread(spent["loop"], seconds)
        print(f"{name:10} {3600 * rate:10.0f} {images * rate:10.0f}   {ratios}", flush=True)
    shares = spread(spent["forward"], spent["fast"])
    print(f"fast: throughput over that of the forward pass alone, min median max: {shares}")


def spread(above: Sequence[float], below: Sequence[float]) -> str:
    """Least, median and greatest ratio of what was measured in the same turn."""
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    return f"{ratios[0]:.2f} {median(ratios):.2f} {ratios[-1]:.2f}"


def limits(worker: TrialWorker, case: Case, spent: dict[str, list[float]]) -> None:
    """Print what a trial spends beside the forward pass, and how near that is to the peak."""
    ready = worker._ready(case.setup)

    def inject() -> None:
        for point in case.points(1000, case.per_turn):
            with faulty(ready, FaultMap(point.ber, point.seed, range(len(ready.data))), Tally()):
                pass

    seconds, trial = fastest(inject, 5) / case.per_turn, median(spent["fast"])
    print(f"drawing, flipping, reading, undoing: {1e3 * seconds:.2f} ms, {seconds / trial:.1%}")
    peak = peak_flops()
    done = ready.cost.inference * len(ready.data) / min(spent["forward"])
    print(
        f"forward pass: {done / 1e9:.0f} GFLOP/s, {done / peak:.0%} of the {peak / 1e9:.0f} that a "
        "large float32 matrix product or convolution reaches"
    )


def peak_flops() -> float:
    """What these threads reach in float32; libraries differ in which of the two they do best."""
    factor, layer = torch.rand(PEAK_SIDE, PEAK_SIDE), torch.nn.Conv2d(256, 256, 3, padding=1)
    images = torch.rand(4, 256, 28, 28).contiguous(memory_format=torch.channels_last)
    layer.requires_grad_(False).to(memory_format=torch.channels_last)
    product = 2 * PEAK_SIDE**3 / fastest(lambda: factor @ factor, 5)
    return max(product, 2 * layer.weight.numel() * 4 * 28**2 / fastest(lambda: layer(images), 5))


def against_two(name: str, arguments: argparse.Namespace) -> None:
    """Print what two workers of one thread do against a loop with torch's own threads.

    Beside the time on the wall, which others on the machine disturb, stands that of the processor,
    of a loop of one thread: on idle cores two workers take half of theirs on the wall, and a loop
    of two threads at least half of its own, for it does not use both all the time.
    """
    case, kinds = make_case(name, arguments), {"wall": None, "cpu": 1}
    loops = {
        clock: LoopProcess(name, Namespace(**{**vars(arguments), "clock": clock}), PlainLoop, count)
        for clock, count in kinds.items()
    }
    workers = Workers(name, arguments, 2)
    seeds = arguments.seeds or seeds_of_turn(name, case, arguments.batch)
    ours: dict[str, list[float]] = {"wall": [], "cpu": []}
    theirs: dict[str, list[float]] = {"wall": [], "cpu": []}
    for turn in range(arguments.repeats):
        found = workers.turn(case.batches(1 + turn * seeds, seeds, arguments.batch))
        for clock, seconds in zip(kinds, found, strict=True):
            ours[clock].append(seconds)
            theirs[clock].append(loops[clock].turn(max(1, case.per_turn // 2)).seconds)
    for side in (*loops.values(), workers):
        side.close()
    rates = " to ".join(f"{rate:g}" for rate in sorted({case.rates[0], case.rates[-1]}))
    print(
        f"\n{name}, BER {rates}, {case.setup.method}, {case.setup.compute}, "
        f"{len(case.images.labels)} images, {arguments.repeats} turns of "
        f"{seeds * len(case.rates)} trials; ratios min median max"
    )
    for clock, label in (("wall", "two workers, wall"), ("cpu", "one thread, cpu")):
        rate, loop = 3600 / median(ours[clock]), 3600 / median(theirs[clock])
        ratios = spread(theirs[clock], ours[clock])
        print(f"{label:18} {rate:9.0f} trials/h, loop {loop:9.0f}; {ratios}", flush=True)


def seeds_of_turn(name: str, case: Case, batch: int) -> int:
    """Seeds of a turn of two workers; at least as many as make four batches, for both to work."""
    usual = 4 if name in GRIDS else 2 * case.per_turn
    return max(usual, -(-4 * batch // len(case.rates)))


def main() -> None:
    """Print a table a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--grid", choices=GRIDS, action="append")
    parser.add_argument("--pair", action="store_true", help="two workers of one thread, wall time")
    parser.add_argument("--seeds", type=int, help="of a turn with two workers")
    parser.add_argument("--batch", type=int, default=4, help="trials that a worker gets at once")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int)
    parser.add_argument("--ber", type=float, default=1e-5)
    parser.add_argument("--compute", default="fp32", choices=("fp32", "bf16", "fp16", "tf32"))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--clock", default="wall", choices=CLOCKS)
    parser.add_argument("--ray", action="store_true", help="two Ray workers against one")
    parser.add_argument("--ray-trials", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.clock == "cpu" and (arguments.device, arguments.threads) != ("cpu", 1):
        parser.error("--clock cpu has a meaning for one thread on the CPU only")
    two = arguments.grid or arguments.pair
    if two and (arguments.clock, arguments.device) != ("wall", "cpu"):
        parser.error("--grid and --pair compare wall time on the CPU")
    Clock.now = staticmethod(CLOCKS[arguments.clock])
    torch.set_num_threads(arguments.threads)
    for name in arguments.grid or ():
        against_two(name, arguments)
    for name in arguments.case or (() if arguments.grid else CASES):
        work = scaling if arguments.ray else against_two if two else compare
        work(name, arguments)


if __name__ == "__main__":
    main()

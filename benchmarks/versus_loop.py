"""Whole trials against the loop that one writes without this package, turn by turn.

uv run python benchmarks/versus_loop.py [--case cifar_resnet20] [--device cuda] [--ray]

The loop copies the network, draws a number for every stored bit, flips, and sends a TensorDataset
through a DataLoader at the best batch size of 64 to 512. It has a process of its own, for workers
change how theirs allocates memory; the two never compute at the same time. Weights are random
unless CAMPAIGN_DATA names a folder with `weights/cifar10_resnet20.safetensors`. On a machine that
others use too, `--clock cpu` counts the time of the processor and not the waiting for it.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.sources import DATASETS, Images, ModelSource, Preprocess
from campaign.sources.networks import build_network
from campaign.sources.pixels import normalise
from campaign.spec.grid import Point, Setup, SetupPoints, Targets
from campaign.trial.worker import TrialWork, TrialWorker, data_asset, model_asset

CASES = {  # network, pixels of an image, images, trials a turn
    "digits_cnn": ("digits_cnn", (1, 8, 8), 600, 20),
    "cifar_resnet20": ("cifar_resnet20", (3, 32, 32), 1000, 1),
    "resnet18": ("torchvision/resnet18", (3, 224, 224), 32, 1),
}
LOADER_BATCHES = (64, 128, 256, 512)
FORWARD_BATCHES = (16, 64, 128, 256, 512)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Given(ModelSource):
    """A network with the weights that it is built with, or those of a file."""

    name: ClassVar[str] = "given"
    architecture: str = ""

    @property
    def label(self) -> str:
        return self.architecture

    @property
    def preprocess(self) -> Preprocess:
        return Preprocess()

    def digest(self) -> str:
        return self.architecture

    def state(self) -> dict[str, NDArray[np.generic]]:
        torch.manual_seed(0)
        module = build_network(self.architecture)
        held = Path(os.environ.get("CAMPAIGN_DATA", ".")) / "weights/cifar10_resnet20.safetensors"
        if self.architecture == "cifar_resnet20" and held.exists():
            from safetensors.torch import load_file

            module.load_state_dict(load_file(held))
        return {name: value.numpy() for name, value in module.state_dict().items()}

    def build(self) -> nn.Module:
        return build_network(self.architecture)


@dataclass(frozen=True)
class Case:
    """What both sides compute."""

    setup: Setup
    state: dict[str, NDArray[np.generic]]
    images: Images
    per_turn: int
    ber: float

    @property
    def assets(self) -> dict[str, object]:
        how = self.setup.model.preprocess
        return {model_asset(self.setup): self.state, data_asset(how): self.images}

    def points(self, first: int, count: int) -> list[Point]:
        return [Point(f"{seed}", self.ber, seed) for seed in range(first, first + count)]


def make_case(name: str, arguments: argparse.Namespace) -> Case:
    network, shape, count, per_turn = CASES[name]
    model, fault = Given(network), FAULTS.make("bit_flip")
    pixels = np.random.default_rng(0).integers(0, 256, (arguments.images or count, *shape))
    images = Images(pixels.astype(np.uint8), np.arange(len(pixels), dtype=np.int64) % 10)
    setup = Setup(
        setup_id=name,
        campaign="benchmark",
        model_name=name,
        model=model,
        dataset_name="random",
        dataset=DATASETS.make("digits"),
        dtype=FORMATS.make("fp32"),
        stack=(),
        t=None,
        nonfinite="propagate",
        fault_name=fault.label,
        fault=fault,
        targets=Targets(),
        compute=arguments.compute,
    )
    return Case(setup, model.state(), images, per_turn, arguments.ber)


class Clock:
    """What a process measures with; both set it from the command line."""

    now: Callable[[], float] = staticmethod(time.perf_counter)


class PlainLoop:
    """The loop that one writes."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.ber, self.device = case.ber, device
        self.module = case.setup.model.build().eval().requires_grad_(False)
        self.module.load_state_dict({k: torch.tensor(v) for k, v in case.state.items()})
        self.module.to(device)
        pixels = normalise(torch.tensor(case.images.pixels), case.setup.model.preprocess)
        self.data = TensorDataset(pixels, torch.tensor(case.images.labels))
        self.injecting = 0.0
        self.batch = min(LOADER_BATCHES, key=lambda size: fastest(lambda: self.answer(size), 2))

    def trial(self) -> int:
        begun = Clock.now()
        faulty = copy.deepcopy(self.module)
        for part in faulty.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                self.flip(part.weight)
        synchronise(self.device)
        self.injecting += Clock.now() - begun
        return self.answer(self.batch, faulty)

    def flip(self, weight: nn.Parameter) -> None:
        mask = torch.zeros(weight.shape, dtype=torch.int32, device=self.device)
        for bit in range(32):
            mask |= (torch.rand(weight.shape, device=self.device) < self.ber).int() << bit
        weight.data = (weight.data.view(torch.int32) ^ mask).view(torch.float32)

    @torch.inference_mode()
    def answer(self, batch: int, module: nn.Module | None = None) -> int:
        correct = 0
        for images, labels in DataLoader(self.data, batch_size=batch):
            logits = (module or self.module)(images.to(self.device))
            correct += int((logits.argmax(1) == labels.to(self.device)).sum())
        return correct


class LoopProcess:
    """The loop in a process of its own, which sleeps while it is not asked."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(1, context, open_loop, (name, arguments))

    def turn(self) -> tuple[float, float, int]:
        """Seconds a trial, seconds of its injection, and the batch size."""
        return self.pool.submit(loop_turn).result()


OPEN: dict[str, tuple[Case, PlainLoop]] = {}


def open_loop(name: str, arguments: argparse.Namespace) -> None:
    Clock.now = staticmethod(CLOCKS[arguments.clock])
    torch.set_num_threads(arguments.threads)
    case = make_case(name, arguments)
    OPEN["loop"] = case, PlainLoop(case, torch.device(arguments.device))


def loop_turn() -> tuple[float, float, int]:
    case, loop = OPEN["loop"]
    loop.injecting = 0.0
    seconds = timed(lambda: [loop.trial() for _ in range(case.per_turn)])
    return seconds / case.per_turn, loop.injecting / case.per_turn, loop.batch


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def fastest(work: Callable[[], object], repeats: int) -> float:
    return min(timed(work) for _ in range(repeats))


def timed(work: Callable[[], object]) -> float:
    begun = Clock.now()
    work()
    return Clock.now() - begun


def forward_only(worker: TrialWorker, case: Case) -> Callable[[], object]:
    """The fault-free pass of the fast way, alone, at its best batch size."""
    ready = worker._ready(case.setup)

    def answering(size: int) -> Callable[[], object]:
        return lambda: ready.forward.answers(ready.data.in_batches(size)).sum().item()

    sizes = (*FORWARD_BATCHES, ready.data.batch_size)
    return answering(min(sizes, key=lambda size: fastest(answering(size), 3)))


def trials(worker: TrialWorker, case: Case) -> Iterator[Callable[[], object]]:
    """Each a turn of fresh trials."""
    first = 0
    while True:
        points = case.points(first, case.per_turn)
        first += case.per_turn
        yield lambda points=points: successful(worker, case, points)


def successful(worker: TrialWorker, case: Case, points: Sequence[Point]) -> None:
    for record in worker.trials(case.setup, points, 1):
        if record.status != "ok":
            raise RuntimeError(record.error)


def compare(name: str, arguments: argparse.Namespace) -> None:
    """Print a table of one case."""
    case, gpu = make_case(name, arguments), arguments.device == "cuda"
    work = TrialWork("benchmark", threads=arguments.threads, use_gpu=gpu)
    workers = [replace(work, mode=mode).open(case.assets.get) for mode in ("fast", "reference")]
    fast, reference = (trials(worker, case) for worker in workers)
    loop = LoopProcess(name, arguments)
    forward = forward_only(workers[0], case)
    loop.turn(), next(fast)(), next(reference)()
    spent: dict[str, list[float]] = {"fast": [], "reference": [], "loop": [], "forward": []}
    for _ in range(arguments.repeats):
        spent["fast"].append(timed(next(fast)) / case.per_turn)
        seconds, injecting, batch = loop.turn()
        spent["loop"].append(seconds)
        spent["reference"].append(timed(next(reference)) / case.per_turn)
        spent["forward"].append(timed(forward))
    loop.pool.shutdown()
    compute = next(workers[0].trials(case.setup, case.points(0, 1), 1)).compute
    print(f"\n{name}, {len(case.images.labels)} images, BER {case.ber:g}; ours: {compute}")
    told(spent, len(case.images.labels))
    print(f"loop: batch {batch}, {injecting / seconds:.0%} of its time in the injection")


def told(spent: dict[str, list[float]], images: int) -> None:
    print(f"{'':10} {'trials/h':>10} {'images/s':>10}   loop's time / its, min median max")
    for name, seconds in spent.items():
        ratios = sorted(a / b for a, b in zip(spent["loop"], seconds, strict=True))
        spread = f"{ratios[0]:.2f} {median(ratios):.2f} {ratios[-1]:.2f}"
        rate = 1 / median(seconds)
        print(f"{name:10} {3600 * rate:10.0f} {images * rate:10.0f}   {spread}", flush=True)
    shares = sorted(a / b for a, b in zip(spent["forward"], spent["fast"], strict=True))
    told = " ".join(f"{share:.0%}" for share in (shares[0], median(shares), shares[-1]))
    print(f"fast, as a share of the forward pass alone at its best batch, min median max: {told}")


def on_ray(name: str, workers: int, arguments: argparse.Namespace) -> float:
    """Trials an hour on Ray workers of one thread, from the first row to the last."""
    from campaign.engines.executors.ray import RayExecutor

    case = make_case(name, arguments)
    tasks = [SetupPoints(case.setup, tuple(case.points(0, arguments.ray_trials)))]
    executor, arrivals = RayExecutor(workers=workers, batch_seconds=0.5), []
    try:
        executor.start()
        for records in executor.run(tasks, TrialWork("benchmark", use_gpu=False), case.assets):
            arrivals.append((time.perf_counter(), len(records)))
    finally:
        executor.close()
    return 3600 * sum(n for _, n in arrivals[1:]) / (arrivals[-1][0] - arrivals[0][0])


def scaling(name: str, arguments: argparse.Namespace) -> None:
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(max(1, arguments.repeats // 3)):
        for workers, found in rates.items():
            found.append(on_ray(name, workers, arguments))
    ratios = sorted(b / a for a, b in zip(rates[1], rates[2], strict=True))
    told = " ".join(f"{ratio:.2f}" for ratio in (ratios[0], median(ratios), ratios[-1]))
    print(
        f"\n{name} on Ray: {median(rates[1]):.0f} trials/h on one worker, {median(rates[2]):.0f} "
        f"on two; ratio min median max {told}",
        flush=True,
    )


def main() -> None:
    """Print a table a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int)
    parser.add_argument("--ber", type=float, default=1e-5)
    parser.add_argument("--compute", default="fp32", choices=("fp32", "bf16", "fp16", "tf32"))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--clock", default="wall", choices=CLOCKS)
    parser.add_argument("--ray", action="store_true", help="two Ray workers against one, too")
    parser.add_argument("--ray-trials", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.clock == "cpu" and (arguments.device, arguments.threads) != ("cpu", 1):
        parser.error("--clock cpu has a meaning for one thread on the CPU only")
    Clock.now = staticmethod(CLOCKS[arguments.clock])
    torch.set_num_threads(arguments.threads)
    if importlib.util.find_spec("pytorchfi") is None:
        print("pytorchfi is not installed: not compared")
    for name in arguments.case or CASES:
        compare(name, arguments)
        if arguments.ray:
            scaling(name, arguments)


if __name__ == "__main__":
    main()

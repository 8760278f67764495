"""The loop that one writes without this package, and PyTorchFI in its place."""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from typing import NamedTuple

import numpy as np
import torch
from cases import Case, make_case
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from campaign.sources.pixels import normalise

LOADER_BATCHES = (64, 128, 256, 512)
MOST_TRIED = 1024
"""Images on which the best batch size is sought."""
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Clock:
    """What a process measures with; each sets it from the command line."""

    now: Callable[[], float] = staticmethod(time.perf_counter)


def timed(work: Callable[[], object]) -> float:
    begun = Clock.now()
    work()
    return Clock.now() - begun


def fastest(work: Callable[[], object], repeats: int) -> float:
    return min(timed(work) for _ in range(repeats))


class PlainLoop:
    """A deep copy, a number drawn for each stored bit, a DataLoader."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.ber, self.device = case.ber, device
        self.module = case.setup.model.build().eval().requires_grad_(False)
        self.module.load_state_dict({k: torch.tensor(v) for k, v in case.state.items()})
        self.module.to(device)
        pixels = normalise(torch.tensor(case.images.pixels), case.setup.model.preprocess)
        self.data = TensorDataset(pixels, torch.tensor(case.images.labels))
        self.injecting = 0.0
        tried = range(min(MOST_TRIED, len(pixels)))
        self.answer(LOADER_BATCHES[0], self.module, tried)
        self.batch = min(
            LOADER_BATCHES,
            key=lambda size: fastest(lambda: self.answer(size, self.module, tried), 2),
        )

    def trial(self) -> int:
        begun = Clock.now()
        faulty = self.faulty()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.injecting += Clock.now() - begun
        return self.answer(self.batch, faulty, range(len(self.data)))

    def faulty(self) -> nn.Module:
        faulty = copy.deepcopy(self.module)
        for part in faulty.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                self.flip(part.weight)
        return faulty

    def flip(self, weight: nn.Parameter) -> None:
        mask = torch.zeros(weight.shape, dtype=torch.int32, device=self.device)
        for bit in range(32):
            mask |= (torch.rand(weight.shape, device=self.device) < self.ber).int() << bit
        weight.data = (weight.data.view(torch.int32) ^ mask).view(torch.float32)

    @torch.inference_mode()
    def answer(self, batch: int, module: nn.Module, images: range) -> int:
        correct = 0
        data = self.data if len(images) == len(self.data) else Subset(self.data, images)
        for pixels, labels in DataLoader(data, batch_size=batch):
            logits = module(pixels.to(self.device))
            correct += int((logits.argmax(1) == labels.to(self.device)).sum())
        return correct


class PyTorchFi(PlainLoop):
    """PyTorchFI 0.6, which flips no bits of weights itself: a function of ours does.

    Where they fall is drawn sparsely for it, and convolutions only are hit: it indexes weights by
    four numbers. It logs each of its injections.
    """

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        core = import_module("pytorchfi.core")
        _, *shape = self.data.tensors[0].shape
        self.injector = core.fault_injection(
            self.module, self.batch, input_shape=list(shape), layer_types=[nn.Conv2d]
        )
        self.rng = np.random.default_rng(0)

    def faulty(self) -> nn.Module:
        shapes = [tuple(shape) for shape in self.injector.weights_size]
        drawn = [self.rng.binomial(32 * int(np.prod(s)), self.ber) for s in shapes]
        layers, places = list[int](), list[np.ndarray]()
        for layer, (shape, count) in enumerate(zip(shapes, drawn, strict=True)):
            layers += [layer] * count
            flat = self.rng.integers(0, np.prod(shape), count)
            places += [np.stack(np.unravel_index(flat, shape), axis=1)]
        at = np.concatenate(places).T.tolist()
        module: nn.Module = self.injector.declare_weight_fi(
            function=self._flipped, layer_num=layers, k=at[0], dim1=at[1], dim2=at[2], dim3=at[3]
        )
        return module

    def _flipped(self, weight: torch.Tensor, place: tuple[int, ...]) -> torch.Tensor:
        bit = np.uint32(1 << int(self.rng.integers(32)))
        pattern = torch.from_numpy(np.array([bit]).view(np.int32))[0]
        return (weight[place].view(torch.int32) ^ pattern).view(torch.float32)


class Turn(NamedTuple):
    """What a loop took."""

    seconds: float
    """Of one trial."""
    injecting: float
    """Of these, for the faulty copy."""
    batch: int


class LoopProcess:
    """A loop in a process of its own, which sleeps while it is not asked.

    Args:
        name: The case.
        arguments: Of the command line.
        kind: `PlainLoop` or `PyTorchFi`.
        threads: Of torch; None leaves what it takes by itself.
    """

    def __init__(
        self, name: str, arguments: argparse.Namespace, kind: type[PlainLoop], threads: int | None
    ) -> None:
        context = multiprocessing.get_context("spawn")
        given = (name, arguments, kind, threads)
        self.pool = ProcessPoolExecutor(1, context, _open, given)

    def turn(self, trials: int) -> Turn:
        return self.pool.submit(_turn, trials).result()

    def close(self) -> None:
        self.pool.shutdown()


OPEN: dict[str, PlainLoop] = {}


def _open(
    name: str, arguments: argparse.Namespace, kind: type[PlainLoop], threads: int | None
) -> None:
    Clock.now = staticmethod(CLOCKS[arguments.clock])
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    OPEN["loop"] = loop = kind(make_case(name, arguments), torch.device(arguments.device))
    loop.trial()


def _turn(trials: int) -> Turn:
    loop = OPEN["loop"]
    loop.injecting = 0.0
    seconds = timed(lambda: [loop.trial() for _ in range(trials)])
    return Turn(seconds / trials, loop.injecting / trials, loop.batch)

"""Time to write and read a network of the shapes of ResNet-18 through each protection.

uv run python benchmarks/methods.py

Protections of values on fp32, as the ratio to a float32 copy of the network; those of stored bits,
in seconds. Both are told for writing and reading, each once per setup: a trial reads what its flips
touch. Weights, copies and what is made of them go to new memory, as in a first copy of a network,
whose page faults take most of the time; or with ``--memory kept`` to memory that was freed before,
as in a worker of a campaign from its second setup on.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from codes import seconds

from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.trial.allocator import keep_freed_memory

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
VALUES: list[tuple[str, dict[str, object]]] = [
    ("weight_scaling", {"t": 2.0}),
    ("weight_scaling", {"t": 2.0, "per": "channel"}),
    ("saf", {}),
    ("saf", {"store": "raw"}),
    ("saf", {"function": "arctan"}),
    ("saf", {"function": "softsign"}),
    ("saf", {"function": "hardtanh"}),
    ("saf", {"function": "scaled_tanh"}),
    ("range_clamp", {}),
    ("range_clamp", {"out_of_range": "zero", "per": "row"}),
    ("range_clamp", {"percentile": 99.9}),
    ("weight_clipping", {}),
]
CODES: list[tuple[str, str, dict[str, object]]] = [
    ("fp32", "secded", {}),
    ("fp32", "nmr", {}),
    ("fp32", "selective", {}),
    ("fp32", "parity", {}),
    ("int8", "secded", {}),
    ("int8", "in_place_ecc", {}),
    ("q2_5", "in_place_ecc", {}),
]


def resnet18() -> list[tuple[int, ...]]:
    """Shapes of the weights of convolutions and of the classifier: 11.7 M."""
    shapes: list[tuple[int, ...]] = [(64, 3, 7, 7), *[(64, 64, 3, 3)] * 4]
    for width in (128, 256, 512):
        half = width // 2
        shapes += [(width, half, 3, 3), *[(width, width, 3, 3)] * 3, (width, half, 1, 1)]
    return [*shapes, (1000, 512)]


def new_memory() -> bool:
    """Tell glibc to map each tensor of 1 MiB or more anew, and to keep the small ones."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_THRESHOLD, 1 << 20) and mallopt(M_TRIM_THRESHOLD, 1 << 26))


def each(work: Callable[[int], object], count: int, arguments: argparse.Namespace) -> float:
    """Seconds to do `work` on every weight."""
    device = torch.device(arguments.device)
    return seconds(lambda: [work(i) and None for i in range(count)], device, arguments.repeats)


def taken(work: Callable[[int], object], count: int, arguments: argparse.Namespace) -> float:
    """Seconds to do `work` on every weight and to hold all that it makes, as a network is held."""
    device = torch.device(arguments.device)
    clock = CLOCKS[arguments.clock]
    started = clock()
    made = [work(i) for i in range(count)]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds_taken = clock() - started
    del made
    return seconds_taken


def values(weights: list[torch.Tensor], arguments: argparse.Namespace) -> None:
    """Print how many copies writing, reading and both take; the three take turns."""
    count = len(weights)
    heads = [f"{head:>6}" for head in ("write", "read", "both")]
    print(f"{'values, in float32 copies':44} {' '.join(heads)}   seconds of a copy")
    for name, options in VALUES:
        method = METHODS.make(name, options)
        stored = [method.transform(weight) for weight in weights]
        states = [method.profile(value, state) for value, state in stored]
        ways: list[Callable[[int], object]] = [
            lambda i: weights[i].clone(),
            lambda i, m=method: m.transform(weights[i]),
            lambda i, m=method, s=stored, k=states: m.restore(s[i][0], k[i]),
        ]
        turns = [
            [taken(way, count, arguments) for way in ways] for _ in range(arguments.repeats + 1)
        ][1:]
        write, read, both = (
            statistics.median(ratio)
            for ratio in zip(*((w / c, r / c, (w + r) / c) for c, w, r in turns), strict=True)
        )
        copy = statistics.median(turn[0] for turn in turns)
        print(f"{method.label:44} {write:6.2f} {read:6.2f} {both:6.2f}   {copy:.4f}", flush=True)


def floor(arguments: argparse.Namespace) -> None:
    """Print what the functions of saf cost in the first cache, and a copy into memory at hand."""
    size, clock = 1 << 11, CLOCKS[arguments.clock]
    single = torch.randn(size, generator=torch.Generator().manual_seed(1)).mul_(0.05).numpy()
    double = single.astype(np.float64)
    into, narrow = np.empty_like(double), np.empty_like(single)
    large = torch.zeros(sum(math.prod(shape) for shape in resnet18()))
    other = torch.zeros_like(large)
    cases: list[tuple[str, Callable[[], object], int]] = [
        (f"numpy float64 {f.__name__}", partial(f, double, out=into), size)
        for f in (np.tanh, np.arctanh, np.arctan, np.tan)
    ]
    cases += [
        ("float32 to float64", lambda: np.copyto(into, single), size),
        ("float64 to float32", lambda: np.copyto(narrow, double, casting="same_kind"), size),
        ("copy into memory at hand", lambda: other.copy_(large), large.numel()),
    ]
    print("\nnanoseconds a value")
    for name, work, numel in cases:
        rounds, best = max(1, (1 << 22) // numel), math.inf
        for _ in range(arguments.repeats + 1):
            started = clock()
            for _ in range(rounds):
                work()
            best = min(best, (clock() - started) / rounds / numel)
        print(f"{name:44} {best * 1e9:6.2f}")


def codes(weights: list[torch.Tensor], arguments: argparse.Namespace) -> None:
    count = len(weights)
    print(f"\n{'stored bits, in seconds':44} {'write':>7} {'read':>7}")
    for dtype, name, options in CODES:
        fmt = FORMATS.make(dtype)
        method = METHODS.make(name, options).bind(fmt)
        words = [method.adapt(fmt.encode(w, fmt.calibrate(w))) for w in weights]
        held = [method.encode(word) for word in words]
        write = each(lambda i, m=method, w=words: len(m.encode(m.adapt(w[i]))), count, arguments)
        read = each(lambda i, m=method, h=held: len(m.decode(*h[i])), count, arguments)
        print(f"{dtype + ' ' + name:44} {write:7.3f} {read:7.3f}", flush=True)


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="of values")
    parser.add_argument("--memory", choices=["new", "kept"], default="new")
    arguments = parser.parse_args()
    known = new_memory() if arguments.memory == "new" else keep_freed_memory()
    told = f"{arguments.memory} memory" if known else "memory as the C library has it"
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    shapes = resnet18()
    weights = [torch.randn(s, generator=generator).mul_(0.05).to(arguments.device) for s in shapes]
    print(f"{sum(w.numel() for w in weights)} weights, {arguments.threads} threads, {told}")
    values(weights, arguments)
    floor(arguments)
    codes(weights, arguments)


if __name__ == "__main__":
    main()

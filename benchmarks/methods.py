"""Time to write and read a network of the shapes of ResNet-18 through each protection.

uv run python benchmarks/methods.py

Protections of values on fp32, as the ratio to a float32 copy of the weights; those of stored bits,
in seconds. Both are told for writing (once per setup) and reading (in each trial).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from codes import seconds

from campaign.formats import FORMATS
from campaign.methods import METHODS

VALUES: list[tuple[str, dict[str, object]]] = [
    ("weight_scaling", {"t": 2.0}),
    ("weight_scaling", {"t": 2.0, "per": "channel"}),
    ("saf", {}),
    ("saf", {"function": "hardtanh"}),
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


def each(work: Callable[[int], object], count: int, arguments: argparse.Namespace) -> float:
    """Seconds to do `work` on every weight."""
    device = torch.device(arguments.device)
    return seconds(lambda: [work(i) and None for i in range(count)], device, arguments.repeats)


def values(weights: list[torch.Tensor], arguments: argparse.Namespace) -> None:
    count = len(weights)
    copy = each(lambda i: bool(weights[i].clone().ndim), count, arguments)
    print(f"a float32 copy takes {copy:.4f} s\n{'values, in copies':44} {'write':>7} {'read':>7}")
    for name, options in VALUES:
        method = METHODS.make(name, options)
        stored = [method.transform(weight) for weight in weights]
        states = [method.profile(value, state) for value, state in stored]
        write = each(lambda i, m=method: len(m.transform(weights[i])), count, arguments)
        read = each(
            lambda i, m=method, s=stored, k=states: m.restore(s[i][0], k[i]).ndim, count, arguments
        )
        print(f"{method.label:44} {write / copy:7.1f} {read / copy:7.1f}", flush=True)


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
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    shapes = resnet18()
    weights = [torch.randn(s, generator=generator).mul_(0.05).to(arguments.device) for s in shapes]
    print(f"{sum(w.numel() for w in weights)} weights, {arguments.threads} threads")
    values(weights, arguments)
    codes(weights, arguments)


if __name__ == "__main__":
    main()

"""Time to write and read a network of 11.7 M weights through each protection of stored bits.

uv run python benchmarks/codes.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from campaign.bits import Words, flip
from campaign.faults import FAULTS, Stream
from campaign.formats import FORMATS, NumberFormat
from campaign.methods import METHODS, Method

CASES: list[tuple[str, str, dict[str, object]]] = [
    ("fp32", "parity", {}),
    ("fp32", "opportunistic_parity", {}),
    ("fp32", "secded", {}),
    ("fp32", "secded", {"data_bits": 32}),
    ("fp32", "secded", {"data_bits": 16}),
    ("fp32", "bch", {}),
    ("fp32", "bch", {"errors": 3}),
    ("fp32", "nmr", {}),
    ("fp32", "nmr", {"vote": "median"}),
    ("fp32", "selective", {}),
    ("fp32", "msb_copy", {}),
    ("fp16", "secded", {}),
    ("int8", "secded", {}),
    ("q3_12", "secded", {}),
    ("int4", "secded", {}),
    ("q2_3", "secded", {}),
]


def seconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median wall time."""
    taken = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])  # the first one builds tables


def faulted(words: Words, field: str, ber: float) -> Words:
    """The words with bits flipped at `ber`."""
    stream = Stream(0, "w", field, words.width)
    positions = FAULTS.make("bit_flip").sample(words, ber, stream)
    return flip(words, torch.from_numpy(positions).to(words.data.device))


def measure(
    fmt: NumberFormat, method: Method, weight: torch.Tensor, arguments: argparse.Namespace
) -> tuple[float, float, float]:
    """Seconds to encode, to decode without faults, and to decode with them."""
    device, repeats = weight.device, arguments.repeats
    words = method.adapt(fmt.encode(weight, fmt.calibrate(weight)))
    payload, check = method.encode(words)
    wrong = faulted(payload, "payload", arguments.ber)
    wrong_check = None if check is None else faulted(check, "check0", arguments.ber)
    return (
        seconds(lambda: method.encode(method.adapt(words)), device, repeats),
        seconds(lambda: method.decode(payload, check), device, repeats),
        seconds(lambda: method.decode(wrong, wrong_check), device, repeats),
    )


def main() -> None:
    """Print a line a case: seconds, and the ratio to a plain copy of the words in float32."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=int, default=11_700_000)
    parser.add_argument("--ber", type=float, default=1e-4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(arguments.weights, generator=generator) * 0.05).to(device)
    copy = seconds(weight.clone, device, arguments.repeats)
    print(f"{arguments.weights} weights on {device}, {torch.get_num_threads()} threads")
    print(f"a float32 copy takes {copy:.4f} s; decode* is at BER {arguments.ber:g}\n")
    print(f"{'case':34} {'encode':>8} {'decode':>8} {'decode*':>8} {'sum':>8} {'copies':>7}")
    for dtype, name, options in CASES:
        fmt = FORMATS.make(dtype)
        method = METHODS.make(name, options)
        encode, clean, wrong = measure(fmt, method.bind(fmt), weight, arguments)
        row = f"{dtype + ' ' + method.label:34} {encode:8.3f} {clean:8.3f} {wrong:8.3f}"
        print(f"{row} {encode + wrong:8.3f} {(encode + wrong) / copy:7.1f}", flush=True)


if __name__ == "__main__":
    main()

"""Time of one injection, reading and undoing, against a dense loop in plain torch.

python benchmarks/injection.py --rates 1e-6 1e-4

Weights of the shapes of ResNet-18 are stored, bits of them flip, what is read goes into live
parameters, and these are restored. The loop draws a number for every bit, packs the masks into
integers and flips in place, in fp32. Both are timed alternately, so that a busy machine troubles
both; times are medians with the least and the greatest, ratios those of the medians. On a machine
that others use, --cpu counts what this thread computes instead of what passes on the clock. The
split is of trials one after the other, which find more in the caches than those after a loop.

With --ahead a second thread draws the flips of the next trial meanwhile, as workers with a core to
spare do; the times are those of ten trials in a row, of which the first draws for itself. Give the
loop as many threads: --ahead --threads 2.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from methods import resnet18

from campaign.faults import FAULTS
from campaign.faults.subject import Flips
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.trial.allocator import keep_freed_memory
from campaign.trial.memory import Storage, exposed_fields, write
from campaign.trial.together import Readers
from campaign.trial.touched import Reader

CASES: list[tuple[str, str, dict[str, object]]] = [
    ("fp32", "none", {}),
    ("fp32", "weight_scaling", {"t": 2.0}),
    ("fp32", "secded", {}),
    ("int8", "none", {}),
]
IN_A_ROW = 10
"""Trials one after the other."""
RATES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
Trial = Callable[[float, int], object]


def sparse(
    weights: list[torch.Tensor],
    dtype: str,
    method: str,
    options: dict[str, object],
    *,
    ahead: bool = False,
) -> Trial:
    """A trial without the network: what `campaign.trial.run` does to its parameters."""
    storage = Storage(FORMATS.make(dtype), (METHODS.make(method, options),))
    stored = [write(f"layer{place}", weight, storage) for place, weight in enumerate(weights)]
    memory, fault = exposed_fields(stored, storage), FAULTS.make("bit_flip")
    live = {held.name: held.clean.clone() for held in stored}
    readers = Readers({held.name: Reader(held, storage) for held in stored})

    thread = ThreadPoolExecutor(1)
    pending: dict[tuple[float, int], Future[Flips]] = {}

    def flips(ber: float, seed: int) -> Flips:
        if not ahead:
            return fault.sample_all(memory, ber, seed)
        held = pending.pop((ber, seed), None)
        found = fault.sample_all(memory, ber, seed) if held is None else held.result()
        if seed % IN_A_ROW != IN_A_ROW - 1:
            pending[ber, seed + 1] = thread.submit(fault.sample_all, memory, ber, seed + 1)
        return found

    def trial(ber: float, seed: int) -> None:
        chosen, changed = flips(ber, seed), []
        for name, touched in readers.reread(chosen):
            if touched.changes:
                changed.append((live[name], touched.places))
                touched.places.put(live[name], touched.weight)
        for weight, places in changed:
            places.put(weight, places.clean)

    return trial


STEPS = ("draw", "read", "write", "undo")


def split(
    weights: list[torch.Tensor], ber: float, repeats: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Median seconds of the steps of a trial in fp32 without protection.

    Reading strikes words and makes the digest of the flips.
    """
    storage = Storage(FORMATS.make("fp32"), ())
    stored = [write(f"layer{place}", weight, storage) for place, weight in enumerate(weights)]
    memory, fault = exposed_fields(stored, storage), FAULTS.make("bit_flip")
    live = {held.name: held.clean.clone() for held in stored}
    readers = Readers({held.name: Reader(held, storage) for held in stored})
    times: dict[str, list[float]] = {step: [] for step in STEPS}
    for seed in range(repeats):
        ticks = [clock()]
        chosen = fault.sample_all(memory, ber, seed)
        ticks.append(clock())
        changed = [(live[name], found) for name, found in readers.reread(chosen) if found.changes]
        ticks.append(clock())
        for weight, found in changed:
            found.places.put(weight, found.weight)
        ticks.append(clock())
        for weight, found in changed:
            found.places.put(weight, found.places.clean)
        ticks.append(clock())
        for step, begin, end in zip(STEPS, ticks, ticks[1:], strict=False):
            times[step].append(end - begin)
    return {step: statistics.median(found) for step, found in times.items()}


def dense(weights: list[torch.Tensor]) -> Trial:
    """A mask of every bit, in plain torch."""
    live = [weight.clone() for weight in weights]
    powers = torch.tensor([1 << bit for bit in range(31)] + [-(1 << 31)], dtype=torch.int32)

    def trial(ber: float, seed: int) -> None:
        generator = torch.Generator(live[0].device).manual_seed(seed)
        for weight, clean in zip(live, weights, strict=True):
            hit = torch.rand(weight.numel(), 32, generator=generator, device=weight.device) < ber
            mask = (hit * powers.to(weight.device)).sum(1, dtype=torch.int32)
            weight.view(torch.int32).view(-1).bitwise_xor_(mask)
            weight.copy_(clean)

    return trial


def seconds(trial: Trial, ber: float, seed: int, clock: Callable[[], float]) -> float:
    started = clock()
    trial(ber, seed)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - started


def told(times: list[float]) -> str:
    """Median, least and greatest in milliseconds."""
    middle = statistics.median(times)
    return f"{1e3 * middle:9.2f} [{1e3 * min(times):.2f}, {1e3 * max(times):.2f}]"


def compare(
    trials: dict[str, Trial],
    loop: Trial | None,
    ber: float,
    repeats: int,
    clock: Callable[[], float],
    *,
    in_a_row: bool,
) -> None:
    """A line for each case at one rate; small times are measured more often."""
    times: dict[str, list[float]] = {name: [] for name in trials}
    loops: list[float] = []
    for round_ in range(repeats):
        if loop is not None:
            loops.append(seconds(loop, ber, round_, clock))
        for name, trial in trials.items():
            often = IN_A_ROW if in_a_row or ber < 1e-3 else 1
            found = [seconds(trial, ber, IN_A_ROW * round_ + s, clock) for s in range(often)]
            times[name] += [sum(found) / often] if in_a_row else found
    if loops:
        print(f"{ber:7.0e} {'dense loop fp32':24} {told(loops)}", flush=True)
    for name, found in times.items():
        ratio = statistics.median(loops) / statistics.median(found) if loops else float("nan")
        spread = (min(loops) / max(found), max(loops) / min(found)) if loops else (0.0, 0.0)
        text = f"{ratio:8.0f}x [{spread[0]:.0f}, {spread[1]:.0f}]" if loops else ""
        print(f"{ber:7.0e} {name:24} {told(found)} {text}", flush=True)


def main() -> None:
    """Print a line a case and rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rates", type=float, nargs="*", default=RATES)
    parser.add_argument("--cpu", action="store_true", help="CPU time of one thread")
    parser.add_argument("--no-loop", action="store_true")
    parser.add_argument("--ahead", action="store_true", help="draw in a second thread")
    arguments = parser.parse_args()
    if arguments.cpu and arguments.ahead:
        parser.error("--cpu counts one thread, --ahead needs two")
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    shapes = resnet18()
    weights = [torch.randn(s, generator=generator).mul_(0.05).to(arguments.device) for s in shapes]
    count = sum(weight.numel() for weight in weights)
    print(f"{count} weights, {arguments.threads} threads; milliseconds")
    trials = {f"{d} {m}": sparse(weights, d, m, o, ahead=arguments.ahead) for d, m, o in CASES}
    for trial in trials.values():
        trial(1e-6, 0)
    clock = time.thread_time if arguments.cpu else time.perf_counter
    loop = None if arguments.no_loop else dense(weights)
    if loop is not None:
        loop(1e-6, 0)
    for ber in arguments.rates:
        compare(trials, loop, ber, arguments.repeats, clock, in_a_row=arguments.ahead)
        steps = split(weights, ber, 3 + arguments.repeats, clock)
        told_steps = ", ".join(f"{step} {1e3 * taken:.2f}" for step, taken in steps.items())
        print(f"{ber:7.0e} {'of it, fp32 none':24} {told_steps}", flush=True)


if __name__ == "__main__":
    main()

"""Writer processes that crash: run as a script, it forks one for each order read from stdin.

A fork costs milliseconds where a new interpreter costs a second. Prints the pid of each writer,
and its exit status when it has ended.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import signal
import sys
from typing import Any

import pandas as pd  # noqa: F401 - pyarrow imports it at the first array; here it is done once

from campaign.engines.stores.journal import Journal
from campaign.engines.stores.parquet import ParquetStore
from campaign.errors import SetupError
from campaign.records import TrialRecord

STEPS = {"fsync": (os, "fsync"), "replace": (os, "replace"), "mark": (Journal, "seal")}
REFUSED = 3


def make_record(number: int, **changes: object) -> TrialRecord:
    """The record of trial `number`; every column that may differ between trials does."""
    counts = dict.fromkeys(
        ["n_correct_top5", "n_masked", "n_benign", "n_sdc5", "n_improved", "check_bits"], number
    )
    values: dict[str, Any] = {
        "trial_id": f"{number % 3:04x}-1e-06-{number}",
        "setup_id": f"{number % 3:04x}",
        "campaign": "crash",
        "model": "digits_mlp",
        "dataset": "digits",
        "dtype": "fp32",
        "method": "none",
        "t": None if number % 2 else 0.1 * number,
        "nonfinite": "propagate",
        "fault": "bitflip",
        "targets": "weights",
        "ber": 1e-6,
        "seed": number,
        "status": "ok",
        "n_samples": 360,
        "n_correct": number % 361,
        "n_nonfinite": 0,
        "n_sdc": number % 7,
        "stored_bits": 2**40 + number,
        "exposed_bits": 2**40 + number,
        "flipped_bits": number,
        "flipped_words": number,
        "flips_digest": f"{number:016x}",
        "corrected": None,
        "detected": None,
        "nonfinite_weights": 0,
        "n_weights": number,
        "scale_bits": number,
        "constant_bits": number,
        "inference_operations": 2**41 + number,
        "protection_operations": number,
        "seconds": number / 3,
        "device": "cpu",
        "host": "node",
        "compute": "float32 batch=360 threads=1",
        "code_version": "0.1.0",
        "attempt": 1,
        "finished_at": 1.7e9 + number / 7,
        "error_type": None,
        "error": None,
        **counts,
    }
    return TrialRecord(**{**values, **changes})


def die_at(step: str, nth: int, *, after: bool) -> None:
    """Make the process end like a power cut at the nth call of a step of sealing."""
    owner, name = STEPS[step]
    real, calls = getattr(owner, name), itertools.count(1)

    def step_or_die(*args: object) -> object:
        last = next(calls) == nth
        if last and not after:
            os._exit(9)
        result = real(*args)
        if last:
            os._exit(9)
        return result

    setattr(owner, name, step_or_die)


def write(order: dict[str, Any]) -> None:
    """Append trials `first` to `last` - 1 in small batches; write down each when it is kept."""
    acks = os.open(order["acks"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if order["file_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_bytes"],) * 2)
    sizes = random.Random(order["first"])
    store = ParquetStore(order["folder"], seal_rows=order["seal_rows"])
    if order["die"]:
        step, nth, after = order["die"]
        die_at(step, nth, after=after)
    number = order["first"]
    while number < order["last"]:
        batch = range(number, min(number + sizes.randint(1, 10), order["last"]))
        store.append([make_record(n) for n in batch])
        os.write(acks, "".join(f"{n}\n" for n in batch).encode())
        number = batch.stop
    if order["stay"]:
        signal.pause()
    store.close()


def main() -> None:
    """Serve orders until stdin ends."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                write(json.loads(line))
            except SetupError as error:
                print(json.dumps(str(error)), flush=True)
                os._exit(REFUSED)
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()

"""One trial on a prepared setup: corrupt, read, evaluate, undo."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from campaign.lazy import torch
from campaign.spec.grid import Point
from campaign.trial.evaluate import Counts, answers, judge
from campaign.trial.memory import Faults, Stored, choose, corrupt, read
from campaign.trial.setup import Prepared


class Outcome(NamedTuple):
    """What one trial gave."""

    counts: Counts
    flipped_bits: int
    flipped_words: int
    flips_digest: str
    corrected: int
    detected: int
    nonfinite_weights: int


class _Tally:
    """Sums over the parameters of one trial."""

    def __init__(self) -> None:
        self.bits = self.words = self.corrected = self.detected = self.nonfinite = 0
        self.digest = hashlib.blake2b(digest_size=8)

    def add(self, faults: Faults) -> None:
        self.bits += faults.flipped_bits
        self.words += faults.flipped_words
        self.digest.update(faults.digest)


def run_trial(prepared: Prepared, point: Point) -> Outcome:
    """Run the trial `point`; the network is left as it was, to the bit.

    A trial whose weights read back as without faults takes the fault-free counts: the network
    would answer the same.
    """
    tally, changed = _Tally(), list[Stored]()
    parameters = dict(prepared.network.module.named_parameters())
    memory, storage = prepared.stored.values(), prepared.storage
    chosen = choose(memory, prepared.setup.fault, storage, ber=point.ber, seed=point.seed)
    try:
        for stored in memory:
            faults = corrupt(stored, chosen)
            tally.add(faults)
            if faults.flipped_words == 0:
                continue
            reading = read(stored, faults.fields, storage)
            tally.corrected += reading.corrected
            tally.detected += reading.detected
            tally.nonfinite += reading.nonfinite
            if not torch.equal(reading.weight.view(torch.int32), stored.clean.view(torch.int32)):
                changed.append(stored)
                parameters[stored.name].copy_(reading.weight)
        counts = _counts(prepared) if changed else prepared.counts
    finally:
        for stored in changed:
            parameters[stored.name].copy_(stored.clean)
    return Outcome(
        counts,
        tally.bits,
        tally.words,
        tally.digest.hexdigest(),
        tally.corrected,
        tally.detected,
        tally.nonfinite,
    )


def _counts(prepared: Prepared) -> Counts:
    logits = answers(prepared.network.module, prepared.data)
    return judge(logits, prepared.data.labels, prepared.fault_free)

"""One trial on a prepared setup: corrupt, read, evaluate, undo."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from campaign.faults.streams import derived_seed
from campaign.lazy import torch
from campaign.spec.grid import Point
from campaign.trial.evaluate import Counts
from campaign.trial.known import key_of
from campaign.trial.neurons import Hit, Strikes
from campaign.trial.setup import Prepared
from campaign.trial.touched import Touched
from campaign.trial.worst import flipped_worst

if TYPE_CHECKING:
    from torch import Tensor

    from campaign.faults.subject import Flips


class Outcome(NamedTuple):
    """What one trial gave."""

    counts: Counts
    flipped_bits: int
    flipped_words: int
    flips_digest: str
    corrected: int
    detected: int
    nonfinite_weights: int
    n_fault_free: int | None = None
    flipped_worst: int | None = None
    exposed_worst: int | None = None


class Tally:
    """Sums over the parameters and activations of one trial."""

    def __init__(self) -> None:
        self.bits = self.words = self.corrected = self.detected = self.nonfinite = 0
        self.worst: int | None = None
        self.digest = hashlib.blake2b(digest_size=8)

    def add(self, faults: Touched | Hit) -> None:
        """Count what was struck."""
        self.bits += faults.flipped_bits
        self.words += faults.flipped_words
        self.digest.update(faults.digest)

    def note(self, reading: Touched) -> None:
        """Count what decoders and readers met."""
        self.corrected += reading.corrected
        self.detected += reading.detected
        self.nonfinite += reading.nonfinite

    def outcome(self, counts: Counts) -> Outcome:
        """All of it, with what the network answered."""
        return Outcome(
            counts,
            self.bits,
            self.words,
            self.digest.hexdigest(),
            self.corrected,
            self.detected,
            self.nonfinite,
            flipped_worst=self.worst,
        )


def run_trial(prepared: Prepared, point: Point, drawn: Flips | None = None) -> Outcome:
    """Run the trial `point`; the network is left as it was, to the bit.

    Images whose weights read back as without faults take the fault-free answers, and a trial whose
    weights read as those of a former one takes its counts: the network would answer the same. Where
    activations are exposed, that holds for BER 0 only.

    Args:
        prepared: The setup.
        point: The trial.
        drawn: The flips of its first fault map, where they are drawn already.
    """
    tally = Tally()
    maps = [
        FaultMap(point.ber, *held, None if place else drawn)
        for place, held in enumerate(
            fault_maps(point.seed, len(prepared.data), prepared.setup.lifetime)
        )
    ]
    if len(maps) == 1:
        with faulty(prepared, maps[0], tally) as changed:
            return tally.outcome(_counts(prepared, maps[0], changed, tally))
    parts = [_answers_under_map(prepared, held, tally) for held in maps]
    if all(part is None for part in parts):
        return tally.outcome(prepared.counts)
    logits = torch.cat(
        [
            prepared.fault_free[held.images.start : held.images.stop] if part is None else part
            for part, held in zip(parts, maps, strict=True)
        ]
    )
    return tally.outcome(prepared.judge(logits))


def fault_maps(seed: int, count: int, lifetime: int | None) -> Iterator[tuple[int, range]]:
    """Seed and images of each fault map of a trial: one map, or one for every `lifetime` images.

    The first map is that of the seed itself.

    Example:
        >>> [images for _, images in fault_maps(3, 5, 2)]
        [range(0, 2), range(2, 4), range(4, 5)]
    """
    step = count if lifetime is None else lifetime
    for place, start in enumerate(range(0, count, step)):
        held = seed if place == 0 else derived_seed(seed, "map", place)
        yield held, range(start, min(start + step, count))


class FaultMap(NamedTuple):
    """A fault map of a trial."""

    ber: float
    seed: int
    images: range
    """Those that are judged under it."""
    drawn: Flips | None = None
    """Its flips, where they are drawn already."""


def _counts(
    prepared: Prepared, under: FaultMap, changed: Mapping[str, Touched], tally: Tally
) -> Counts:
    """What a trial of one fault map gives; what is known of equal weights is taken."""
    alone = prepared.reference or prepared.setup.sampled or prepared.neurons is not None
    key = key_of(changed) if changed and not alone else None
    known = prepared.known.get(key)
    if known is not None:
        return known
    logits = _answers(prepared, under, tally, changed)
    if logits is None:
        return prepared.counts
    counts = prepared.judge(logits)
    prepared.known.keep(key, counts)
    return counts


def _answers_under_map(prepared: Prepared, under: FaultMap, tally: Tally) -> Tensor | None:
    """Logits of its images under one fault map; None where all reads as without faults."""
    with faulty(prepared, under, tally) as changed:
        return _answers(prepared, under, tally, changed)


@contextmanager
def faulty(prepared: Prepared, under: FaultMap, tally: Tally) -> Iterator[Mapping[str, Touched]]:
    """The live network under a fault map inside the block, as it was behind it.

    Yields:
        What reads as other than without faults, by parameter.
    """
    changed: dict[str, Touched] = {}
    subject, chosen = prepared.subject, under.drawn
    if chosen is None:
        chosen = _chosen(prepared, under.ber, under.seed)
    if prepared.setup.sampled:
        tally.worst = flipped_worst(chosen, prepared.storage)
    try:
        for name, touched in subject.readers.reread(chosen):
            tally.add(touched)
            tally.note(touched)
            if touched.changes:
                changed[name] = touched
                touched.places.put(subject.parameters[name], touched.weight)
        yield changed
    finally:
        for name, touched in changed.items():
            touched.places.put(subject.parameters[name], touched.places.clean)


def _answers(
    prepared: Prepared, under: FaultMap, tally: Tally, changed: Collection[str]
) -> Tensor | None:
    """Logits of the live network, with faults in its activations where these are exposed."""
    forward, neurons, images = prepared.forward, prepared.neurons, under.images
    if neurons is None or under.ber == 0:
        if prepared.reference:
            return forward.answers(prepared.data, images)
        return prepared.prefix.answers_from(changed, images) if changed else None
    fault = prepared.setup.fault
    strikes = Strikes(neurons, fault, ber=under.ber, seed=under.seed, images=images)
    logits = forward.answers(prepared.data, images, strikes.visit)
    for hit in strikes.hits():
        tally.add(hit)
    return logits


def _chosen(prepared: Prepared, ber: float, seed: int) -> Flips:
    """Which bits flip: drawn, or sought by an attack."""
    fault = prepared.setup.fault
    if not fault.attacks:
        return fault.sample_all(prepared.subject.memory, ber, seed)
    if fault.learns and not prepared.subject.n_images:
        raise ValueError(f"{fault.name} learns from a profile split, and there is none")
    return fault.attack(prepared.subject, ber, seed)

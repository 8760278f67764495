"""One trial on a prepared setup: corrupt, read, evaluate, undo."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

from campaign.faults.streams import derived_seed
from campaign.lazy import torch
from campaign.spec.grid import Point
from campaign.trial.evaluate import Counts, judge
from campaign.trial.neurons import Hit, Strikes
from campaign.trial.setup import Prepared
from campaign.trial.touched import Places, Touched
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


class _Tally:
    """Sums over the parameters and activations of one trial."""

    def __init__(self) -> None:
        self.bits = self.words = self.corrected = self.detected = self.nonfinite = 0
        self.worst: int | None = None
        self.digest = hashlib.blake2b(digest_size=8)

    def add(self, faults: Touched | Hit) -> None:
        self.bits += faults.flipped_bits
        self.words += faults.flipped_words
        self.digest.update(faults.digest)

    def note(self, reading: Touched) -> None:
        self.corrected += reading.corrected
        self.detected += reading.detected
        self.nonfinite += reading.nonfinite

    def outcome(self, counts: Counts) -> Outcome:
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

    Images whose weights read back as without faults take the fault-free answers: the network would
    answer the same. Where activations are exposed, that holds for BER 0 only.

    Args:
        prepared: The setup.
        point: The trial.
        drawn: The flips of its first fault map, where they are drawn already.
    """
    tally = _Tally()
    maps = list(fault_maps(point.seed, len(prepared.data), prepared.setup.lifetime))
    parts = [
        _answers_under_map(prepared, _Map(point.ber, *held, None if place else drawn), tally)
        for place, held in enumerate(maps)
    ]
    if all(part is None for part in parts):
        return tally.outcome(prepared.counts)
    logits = torch.cat(
        [
            prepared.fault_free[images.start : images.stop] if part is None else part
            for part, (_, images) in zip(parts, maps, strict=True)
        ]
    )
    return tally.outcome(judge(logits, prepared.data.labels, prepared.fault_free))


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


class _Map(NamedTuple):
    """A fault map of a trial."""

    ber: float
    seed: int
    images: range
    drawn: Flips | None
    """Its flips, where they are drawn already."""


def _answers_under_map(prepared: Prepared, under: _Map, tally: _Tally) -> Tensor | None:
    """Logits of its images under one fault map; None where all reads as without faults."""
    changed: dict[str, Places] = {}
    subject, chosen = prepared.subject, under.drawn
    if chosen is None:
        chosen = _chosen(prepared, under.ber, under.seed)
    if prepared.setup.sampled:
        tally.worst = flipped_worst(chosen, prepared.storage)
    try:
        for name, reader in subject.readers.items():
            touched = reader.reread(chosen)
            if touched is None:
                continue
            tally.add(touched)
            tally.note(touched)
            if touched.changes:
                changed[name] = touched.places
                touched.places.put(subject.parameters[name], touched.weight)
        return _answers(prepared, under, tally, changed)
    finally:
        for name, places in changed.items():
            places.put(subject.parameters[name], places.clean)


def _answers(
    prepared: Prepared, under: _Map, tally: _Tally, changed: Collection[str]
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

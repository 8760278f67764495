"""Fault-free activations kept at some cuts, so that a trial starts at the first changed layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from campaign.lazy import torch
from campaign.networks.sites import Visit, watched
from campaign.networks.stages import Stages, same_bits
from campaign.trial.evaluate import TestSet
from campaign.trial.forward import Forward

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class PrefixCache:
    """Answers of a network of which some layers are changed, to the bit those of whole passes.

    What a stage gets before the first changed one is what it got without faults. It is kept batch
    by batch, for the last bit of an answer may depend on the size of a batch. It holds as long as
    the network is, but for the changed parameters, what it was when the cache was filled; guards
    must depend on nothing but the site and the value.

    Args:
        forward: The network with its guards.
        data: The images.
        stages: Stages of the network; None where only whole passes are right.
        held: By the place of a stage, what it gets for each batch.
        fault_free: Logits of a whole pass when the cache was filled, float32 (n, classes).
    """

    forward: Forward
    data: TestSet
    stages: Stages | None
    held: Mapping[int, tuple[Tensor, ...]]
    fault_free: Tensor

    @classmethod
    def filled(
        cls,
        forward: Forward,
        data: TestSet,
        *,
        stages: Stages | None,
        exposed: Mapping[str, int],
        budget_bytes: int,
    ) -> PrefixCache:
        """Answer all images without faults and keep what pays most.

        Args:
            forward: The network, every weight as read without faults, and what stands around it.
            data: The images that trials are judged on.
            stages: What `campaign.networks.stages.cut` gives for the network.
            exposed: Bits that a fault may hit, by parameter.
            budget_bytes: Most bytes to keep, on the device of `data`.
        """
        if stages is None or not stages.stand_for_module:
            return cls(forward, data, None, {}, forward.answers(data))
        cuts = kept_cuts(stages, exposed, len(data), budget_bytes)
        filling = _Filling(forward, stages, {place: [] for place in cuts})
        with torch.inference_mode():
            starts = range(0, len(data), data.batch_size)
            fault_free = torch.cat([filling.batch(data.batch(start)) for start in starts])
            # The stages were compared on another batch; a device may choose other algorithms here.
            first = forward.batch(data.batch(0))
        if not same_bits(fault_free[: len(first)], first):
            return cls(forward, data, None, {}, forward.answers(data))
        held = {place: tuple(batches) for place, batches in filling.held.items()}
        return cls(forward, data, stages, held, fault_free)

    def holds(self) -> bool:
        """Whether the first and the last batch, from each stage that is kept, are `fault_free`."""
        size, count = self.data.batch_size, len(self.data)
        batches = -(-count // size)
        if self.stages is None or not self.stages.stand_for_module:
            return not self.held
        if any(not 0 < place < len(self.stages) for place in self.held):
            return False
        if any(len(kept) != batches for kept in self.held.values()):
            return False
        ends = [range(b * size, min((b + 1) * size, count)) for b in {0, batches - 1}]
        with torch.inference_mode():
            return all(
                same_bits(
                    next(self._batches(place, images)), self.fault_free[images.start : images.stop]
                )
                for place in self.held
                for images in ends
            )

    @property
    def held_bytes(self) -> int:
        """Bytes that are kept."""
        return sum(kept.nbytes for batches in self.held.values() for kept in batches)

    def answers_from(
        self,
        changed: Collection[str],
        images: range | None = None,
        faulty: Callable[[int], Visit] | None = None,
    ) -> Tensor:
        """Logits of images, float32 (n, classes), as `Forward.answers` gives them.

        Args:
            changed: Names of the parameters that are not as when the cache was filled.
            images: Which images; all if None. Where they are not whole batches, the pass is whole.
            faulty: As of `Forward.answers`; with it the pass is whole.
        """
        start = self.start(changed)
        images = range(len(self.data)) if images is None else images
        if start == 0 or faulty is not None or not self._aligned(images):
            return self.forward.answers(self.data, images, faulty)
        with torch.inference_mode():
            return torch.cat(list(self._batches(start, images)))

    def start(self, changed: Collection[str]) -> int:
        """Place of the stage that a pass starts with; 0 for a whole pass."""
        if self.stages is None or not self.stages.stand_for_module:
            return 0
        first = self.stages.first(changed)
        return max((place for place in self.held if place <= first), default=0)

    def _batches(self, start: int, images: range) -> Iterator[Tensor]:
        assert self.stages is not None
        forward = _running(self.forward, partial(_from, self.forward, self.stages, start))
        overwritten = self.stages.parts[start].overwrites_input
        size = self.data.batch_size
        for place in range(images.start // size, -(-images.stop // size)):
            value = self.held[start][place]
            yield forward.batch(value.clone() if overwritten else value)

    def _aligned(self, images: range) -> bool:
        """Whether the images are batches of the cache."""
        size, stop = self.data.batch_size, images.stop
        whole = stop % size == 0 or stop == len(self.data)
        return images.step == 1 and images.start % size == 0 and whole and len(images) > 0


class _Filling(NamedTuple):
    """Batches that are answered and kept."""

    forward: Forward
    stages: Stages
    held: Mapping[int, list[Tensor]]

    def batch(self, images: Tensor) -> Tensor:
        """Logits of a batch; what the chosen stages get is kept."""
        return _running(
            self.forward, partial(_from, self.forward, self.stages, 0, keep=self._keep)
        ).batch(images)

    def _keep(self, place: int, value: Tensor) -> None:
        if place in self.held:
            overwritten = self.stages.parts[place].overwrites_input
            self.held[place].append(value.clone() if overwritten else value)


def _running(forward: Forward, run: Callable[[Tensor], Tensor]) -> Forward:
    """`forward` with `run` in place of the network and its guards: what follows stays the same."""
    return forward._replace(module=cast("nn.Module", run), visit=None)


def _from(
    forward: Forward,
    stages: Stages,
    start: int,
    value: Tensor,
    keep: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Raw output of the network from a stage on, with the guards."""
    with watched(stages.module, forward.visit) as watch:
        return stages.run(value, start, watch, keep)


def kept_cuts(
    stages: Stages, exposed: Mapping[str, int], n_images: int, budget_bytes: int
) -> tuple[int, ...]:
    """The cuts to keep: those that spare a trial with one random flip the most multiply-adds.

    A flip falls on a stage as often as the stage is the first to read an exposed bit, and the trial
    starts at the last kept cut up to it. Cuts are taken by what they gain for each byte; where the
    one best cut that fits spares more than all of these, it alone is kept.
    Source: the greedy rule of Khuller, Moss and Naor, Inf. Process. Lett. 70(1), 1999, for the
    budgeted maximum coverage problem, which attains at least 0.31 of what is possible: a cut covers
    the pairs of a stage that is hit at or after it and a stage before it.

    Args:
        stages: The stages.
        exposed: Bits that a fault may hit, by parameter.
        n_images: Images for which a cut is kept.
        budget_bytes: Most bytes for all images.

    Returns:
        Places of stages whose input is kept, ascending.
    """
    work, size = _Work.of(stages, exposed), dict[int, int]()
    for place in range(1, len(stages)):
        held = stages.parts[place].input_bytes * n_images
        if work.hits[place] and held <= budget_bytes:
            size[place] = held
    chosen = _greedy(work, size, budget_bytes)
    alone = max(((place,) for place in size), key=work.spared, default=())
    return alone if work.spared(alone) > work.spared(chosen) else chosen


def spared_share(stages: Stages, exposed: Mapping[str, int], cuts: Collection[int]) -> float:
    """Share of the multiply-adds of whole passes that trials with one random flip are spared.

    Args:
        stages: The stages.
        exposed: Bits that a fault may hit, by parameter; a flip hits each alike.
        cuts: Places of stages whose input is kept.
    """
    work = _Work.of(stages, exposed)
    total = sum(work.macs) * sum(work.hits)
    return work.spared(cuts) / total if total else 0.0


class _Work(NamedTuple):
    """What passes cost, and where flips fall."""

    macs: list[int]
    """Of each stage."""
    hits: list[int]
    """Exposed bits for which each stage is the first that reads them."""

    @classmethod
    def of(cls, stages: Stages, exposed: Mapping[str, int]) -> _Work:
        """As the stages have it."""
        hits = [0] * len(stages)
        for name, bits in exposed.items():
            hits[stages.first([name])] += bits
        return cls([part.macs for part in stages.parts], hits)

    def spared(self, cuts: Collection[int]) -> int:
        """Multiply-adds that are spared by `cuts`, summed over a flip of each exposed bit."""
        before, done, spared = 0, 0, 0
        for place, (macs, hits) in enumerate(zip(self.macs, self.hits, strict=True)):
            before = done if place in cuts else before
            spared += hits * before
            done += macs
        return spared


def _greedy(work: _Work, size: Mapping[int, int], budget_bytes: int) -> tuple[int, ...]:
    """Take the cut that gains the most for each byte, as long as one fits and gains."""
    chosen, left = tuple[int, ...](), budget_bytes
    while True:
        now = work.spared(chosen)
        gains = {
            place: (work.spared((*chosen, place)) - now) / max(held, 1)
            for place, held in size.items()
            if held <= left and place not in chosen
        }
        best = max(gains, key=gains.__getitem__, default=None)
        if best is None or gains[best] <= 0:
            return tuple(sorted(chosen))
        chosen, left = (*chosen, best), left - size[best]

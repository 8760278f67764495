"""The network of a setup, for protections and attacks that must look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from campaign.bits import Words, mask_to_width
from campaign.faults import Exposed, FieldKey, Stream
from campaign.faults.bitflip import BitFlip
from campaign.faults.streams import derived_seed
from campaign.faults.subject import Flips
from campaign.lazy import np, torch
from campaign.networks.sites import Visit, in_turn
from campaign.trial.evaluate import TestSet
from campaign.trial.forward import Forward
from campaign.trial.memory import Storage, Stored, choose, corrupt, exposed_fields, read

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class StoredSubject:
    """See `campaign.faults.subject.Subject`.

    Args:
        forward: The live network with the guards that stand; its weights are as read without
            faults.
        stored: The exposed parameters in memory, by name.
        storage: How they are stored and read.
        split: The images of the profile split.
    """

    forward: Forward
    stored: Mapping[str, Stored]
    storage: Storage
    split: TestSet

    @property
    def module(self) -> nn.Module:
        return self.forward.module

    @cached_property
    def memory(self) -> Mapping[FieldKey, Exposed]:
        return exposed_fields(self.stored.values(), self.storage)

    @property
    def n_images(self) -> int:
        return len(self.split)

    @property
    def bit_classes(self) -> Mapping[str, range]:
        return self.storage.dtype.bit_classes

    def sampled(self, images: int, seed: int) -> StoredSubject:
        if images >= len(self.split):
            return self
        draws = Stream(seed, "profile", "attack", 64).uniform(len(self.split))
        order = np.argsort(draws, kind="stable")
        chosen = torch.from_numpy(np.sort(order[:images])).to(self.split.labels.device)
        pixels, labels = self.split.pixels[chosen], self.split.labels[chosen]
        return replace(self, split=replace(self.split, pixels=pixels, labels=labels))

    def weights(self, flips: Flips) -> Mapping[str, Tensor]:
        return {name: self._weight(stored, flips) for name, stored in self.stored.items()}

    def logits(self, flips: Flips, visit: Visit | None = None) -> Tensor:
        visits = [each for each in (self.forward.visit, visit) if each is not None]
        with self._flipped(flips):
            return self.forward._replace(visit=in_turn(visits)).answers(self.split)

    def correct(self, flips: Flips, visit: Visit | None = None) -> int:
        logits = self.logits(flips, visit)
        right = (logits.nan_to_num(nan=-torch.inf).argmax(1) == self.split.labels) & (
            logits.isfinite().all(1)
        )
        return int(right.sum())

    def loss(self, flips: Flips) -> float:
        logits = self.logits(flips)
        if not bool(logits.isfinite().all()):
            return float("inf")
        return float(torch.nn.functional.cross_entropy(logits.double(), self.split.labels))

    def gradients(self, flips: Flips) -> Mapping[str, Tensor]:
        total = {name: torch.zeros_like(held.clean) for name, held in self.stored.items()}
        with self._flipped(flips), self._differentiable() as live, torch.enable_grad():
            for start in range(0, len(self.split), self.split.batch_size):
                labels = self.split.labels[start : start + self.split.batch_size]
                logits = self.forward.batch(self.split.batch(start))
                loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
                found = torch.autograd.grad(loss / len(self.split), live, allow_unused=True)
                for held, gradient in zip(total.values(), found, strict=True):
                    if gradient is not None:
                        held += gradient
        return total

    def swing(self, name: str, bit: int, flips: Flips) -> Tensor:
        stored = self.stored[name]
        fields = corrupt(stored, flips).fields
        words = fields["payload"]
        single = mask_to_width(torch.ones((), dtype=torch.int64) << bit, words.width)
        every = words.data ^ single.data.to(words.data.device)
        struck = {**fields, "payload": Words(every, words.width)}
        now = read(stored, fields, self.storage, decoding=False).weight.double()
        then = read(stored, struck, self.storage, decoding=False).weight.double()
        change = torch.where(then.isfinite(), then - now, torch.inf)
        return torch.where(now.isfinite(), change, 0.0)

    def draw(self, ber: float, seed: int) -> Flips:
        domain = derived_seed(seed, "profile")
        return choose(self.stored.values(), BitFlip(), self.storage, ber=ber, seed=domain)

    @contextmanager
    def _differentiable(self) -> Iterator[list[Tensor]]:
        parameters = dict(self.module.named_parameters())
        live = [parameters[name].requires_grad_() for name in self.stored]
        try:
            yield live
        finally:
            for parameter in live:
                parameter.requires_grad_(False)

    @contextmanager
    def _flipped(self, flips: Flips) -> Iterator[None]:
        """The live network with flipped bits, and afterwards without."""
        touched = {key.tensor for key, positions in flips.items() if positions.size}
        parameters = dict(self.module.named_parameters())
        try:
            for name in touched:
                parameters[name].copy_(self._weight(self.stored[name], flips))
            yield
        finally:
            for name in touched:
                parameters[name].copy_(self.stored[name].clean)

    def _weight(self, stored: Stored, flips: Flips) -> Tensor:
        faults = corrupt(stored, flips)
        if not faults.flipped_words:
            return stored.clean
        return read(stored, faults.fields, self.storage).weight

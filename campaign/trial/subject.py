"""The network of a setup, for protections and attacks that must look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from campaign.faults import Exposed, FieldKey
from campaign.faults.bitflip import BitFlip
from campaign.faults.streams import derived_seed
from campaign.faults.subject import Flips
from campaign.lazy import torch
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
        parameters = dict(self.module.named_parameters())
        total = {name: torch.zeros_like(parameters[name]) for name in self.stored}
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

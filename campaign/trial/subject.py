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
from campaign.trial.together import Readers
from campaign.trial.touched import Places, Reader

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

    @cached_property
    def readers(self) -> Readers:
        """What reads the exposed parameters under faults."""
        return Readers({n: Reader(stored, self.storage) for n, stored in self.stored.items()})

    @cached_property
    def parameters(self) -> Mapping[str, Tensor]:
        """The live parameters, by name."""
        return dict(self.module.named_parameters())

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
        found = {name: stored.clean for name, stored in self.stored.items()}
        for name, touched in self.readers.reread(flips):
            found[name] = touched.whole(found[name])
        return found

    def meanings(self, flips: Flips) -> Mapping[str, Tensor]:
        found = dict(self.weights(flips))
        for name, stored in self.stored.items():
            for method, state in zip(
                reversed(self.storage.stack), reversed(stored.states), strict=True
            ):
                found[name] = method.meaning(found[name], state)
        return found

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
        with self._flipped(flips):
            return self.forward.gradients(self.split, tuple(self.stored))

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
    def _flipped(self, flips: Flips) -> Iterator[None]:
        """The live network with flipped bits, and afterwards without."""
        changed: list[tuple[Tensor, Places]] = []
        try:
            for name, touched in self.readers.reread(flips):
                changed.append((self.parameters[name], touched.places))
                touched.places.put(self.parameters[name], touched.weight)
            yield
        finally:
            for parameter, places in changed:
                places.put(parameter, places.clean)

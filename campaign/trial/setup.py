"""A setup made ready: weights stored, read back into a live network, and the fault-free answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from campaign.lazy import torch
from campaign.methods import State
from campaign.methods.recalled import unexposed
from campaign.networks.fold import fold_batchnorm
from campaign.networks.stages import cut
from campaign.sources.parameters import parameter_kinds
from campaign.spec.exposure import Exempt
from campaign.spec.grid import Setup
from campaign.trial.answers import Answers
from campaign.trial.calibration import neurons_of, whole_blocks
from campaign.trial.cost import Cost, cost_of
from campaign.trial.evaluate import Counts, Judge, TestSet, by_margin, judge
from campaign.trial.forward import Forward
from campaign.trial.guarded import guarded
from campaign.trial.known import Known
from campaign.trial.memory import Storage, Stored, constant_bits, exposed_bits, write
from campaign.trial.neurons import Neurons
from campaign.trial.prefix import PrefixCache
from campaign.trial.subject import StoredSubject

if TYPE_CHECKING:
    from torch import Tensor, nn


PREFIX_BYTES = 512 << 20
"""Memory of a worker for activations that trials may start from."""


@dataclass(frozen=True)
class Network:
    """A network on a device and its trained weights, which trials never change.

    Args:
        module: The live network, in eval mode; its parameters are overwritten by setups.
        trained: Parameters by name, float32, as trained.
        kinds: Kind of each parameter: weights, biases, norms, other.
        buffers: Buffers by name, such as the running statistics of BatchNorm, as trained.
        learnt: What each trained method of its setups learnt, in the order of the stack; nothing
            where the network was not trained for any.
    """

    module: nn.Module
    trained: Mapping[str, Tensor]
    kinds: Mapping[str, str]
    buffers: Mapping[str, Tensor]
    learnt: tuple[State, ...] = ()

    @classmethod
    def load(
        cls,
        module: nn.Module,
        state: Mapping[str, NDArray[np.generic]],
        device: torch.device,
        *,
        fold: bool = False,
        learnt: Sequence[State] = (),
    ) -> Network:
        """Put `state` into `module` on `device`, and `fold` its BatchNorms there.

        Raises:
            ValueError: If a BatchNorm cannot be folded; the text names it.
        """
        if fold and learnt:
            raise ValueError(
                "fold_batchnorm: a method was trained on the weights as they are, and folding "
                "changes them; leave out fold_batchnorm"
            )
        module.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
        module = fold_batchnorm(module) if fold else module
        module = module.to(device).eval().requires_grad_(False)
        trained = {n: p.detach().clone() for n, p in module.named_parameters()}
        buffers = {n: b.detach().clone() for n, b in module.named_buffers()}
        held = tuple({name: c.to(device) for name, c in seen.items()} for seen in learnt)
        return cls(module, trained, parameter_kinds(module), buffers, held)

    def reset(self, changed: Mapping[str, Tensor]) -> None:
        """Set every parameter and buffer to `changed` where it stands there, else as trained."""
        live = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
        for name, trained in {**self.trained, **self.buffers}.items():
            live[name].copy_(changed.get(name, trained))


@dataclass(frozen=True)
class Prepared:
    """A setup that trials can run on.

    Args:
        setup: What was prepared.
        network: Its network; exposed parameters hold ``stored[name].clean`` between trials.
        storage: How weights are stored and read.
        stored: The exposed parameters in memory, by name.
        forward: The network with what stands around it.
        data: The test set; where activations are exposed, in batches of whole blocks of images.
        subject: What attacks look at; without images where there is no profile split.
        learnt: What each method of the stack has observed.
        fault_free: Logits without faults, float32 (n, classes).
        counts: Outcome without faults.
        cost: Operations for one image.
        prefix: From where trials go on.
        neurons: How activations are stored; None where they are not in faultable memory.
        reference: Whether trials take no short cut, each computing all of it.
        known: What trials gave whose weights may come again.
    """

    setup: Setup
    network: Network
    storage: Storage
    stored: Mapping[str, Stored]
    forward: Forward
    data: TestSet
    subject: StoredSubject
    learnt: tuple[State, ...]
    fault_free: Tensor
    counts: Counts
    cost: Cost
    prefix: PrefixCache
    neurons: Neurons | None = None
    reference: bool = False
    known: Known = field(default_factory=Known, compare=False)

    @cached_property
    def judge(self) -> Judge:
        """Tells what answers under faults are worth."""
        return Judge(self.data.labels, self.fault_free)

    @cached_property
    def by_margin(self) -> NDArray[np.int64]:
        """All images by fault-free margin, the most wrong first; int64 (n,)."""
        return by_margin(self.fault_free, self.data.labels)

    @cached_property
    def stored_bits(self) -> int:
        """Payload bits of all exposed parameters."""
        return sum(stored.stored_bits for stored in self.stored.values())

    @cached_property
    def check_bits(self) -> int:
        """Check bits of all exposed parameters."""
        return sum(stored.check_bits for stored in self.stored.values())

    @cached_property
    def scale_bits(self) -> int:
        """Bits of the number format's scales in protected memory, those of activations included."""
        places = {} if self.neurons is None else self.neurons.places
        scales = [held.scale for held in self.stored.values()]
        scales += [place.scale for place in places.values()]
        return sum(constant_bits({"scale": scale}) for scale in scales if scale is not None)

    @cached_property
    def constant_bits(self) -> int:
        """Bits of the constants of all methods, in protected memory."""
        held = sum(stored.constant_bits for stored in self.stored.values())
        return held + sum(constant_bits(seen) for seen in self.learnt)

    @cached_property
    def exposed_bits(self) -> int:
        """Bits that a fault may hit: parameters once a fault map, activations of all images."""
        written = 0 if self.neurons is None else self.neurons.exposed_bits(len(self.data))
        held = sum(exposed_bits(stored, self.storage) for stored in self.stored.values())
        maps = 1 if self.setup.lifetime is None else -(-len(self.data) // self.setup.lifetime)
        return written + maps * held


def prepare(
    setup: Setup,
    network: Network,
    data: TestSet,
    split: TestSet | None = None,
    *,
    reference: bool = False,
    answers: Answers | None = None,
) -> Prepared:
    """Store the exposed weights of `network` as `setup` says and answer without faults.

    Args:
        setup: What to prepare.
        network: Its network.
        data: The images that trials are judged on.
        split: The images that methods and attacks learn from, where the setup needs them.
        reference: Whether trials take no short cut.
        answers: What another worker has answered without faults, taken over where it fits.

    Raises:
        ValueError: If no parameter or layer is exposed, a weight or activation cannot be stored
            so, or the network does not fit the data or a method; the text names the parameter or
            layer.
    """
    storage, stored = _stored(setup, network, split)
    forward = _settled(setup, network, storage, stored)
    neurons = None
    if setup.targets.activations:
        data = whole_blocks(data)
        neurons = neurons_of(setup, storage, forward, data, split)
        forward = forward._replace(stored=neurons.stored)
    forward, learnt = guarded(forward, storage, stored, split, network.learnt)
    empty = replace(data, pixels=data.pixels[:0], labels=data.labels[:0])
    subject = StoredSubject(forward, stored, storage, empty if split is None else split)
    whole = reference or setup.sampled or neurons is not None
    prefix = _prefix(forward, storage, stored, data, whole=whole, answers=answers)
    fault_free = prefix.fault_free
    if forward.logits_divisor != 1 and not bool(fault_free.isfinite().all()):
        raise ValueError(
            f"{setup.model_name}: undivided, its values overflow without any fault; choose t "
            "nearer to the largest weights, or use divide: layer"
        )
    highest = int(data.labels.max())
    if highest >= fault_free.shape[1]:
        raise ValueError(
            f"{setup.dataset_name} has labels up to {highest}, "
            f"{setup.model_name} answers {fault_free.shape[1]} classes"
        )
    counts = judge(fault_free, data.labels, fault_free)
    cost = cost_of(forward, stored.values(), storage, data.batch(0, 1))
    held = setup, network, storage, stored, forward, data, subject, learnt
    return Prepared(*held, fault_free, counts, cost, prefix, neurons, reference)


def _prefix(
    forward: Forward,
    storage: Storage,
    stored: Mapping[str, Stored],
    data: TestSet,
    *,
    whole: bool,
    answers: Answers | None,
) -> PrefixCache:
    """The fault-free answers and what of them trials may start from; nothing where `whole`."""
    usual = not whole and forward.compute == "fp32"
    stages = cut(forward.module, data.batch(0, 1)) if usual else None
    taken = answers.taken(forward, data, stages) if answers is not None else None
    if taken is not None:
        return taken
    exposed = {name: exposed_bits(held, storage) for name, held in stored.items()}
    return PrefixCache.filled(
        forward, data, stages=stages, exposed=exposed, budget_bytes=PREFIX_BYTES
    )


def _stored(
    setup: Setup, network: Network, split: TestSet | None
) -> tuple[Storage, dict[str, Stored]]:
    targets = setup.targets
    exempt = Exempt.of(setup.dtype, targets.exempt_bits, targets.only_bits)
    storage = Storage(setup.dtype, setup.stack, setup.nonfinite, exempt)
    names = [n for n in network.trained if targets.match(n, network.kinds[n])]
    if not names and (targets.kinds or not targets.activations):
        raise ValueError(f"no parameter of {setup.model_name} is exposed by {targets.label}")
    slopes = _trained_gradients(storage, names, network, split)
    return storage, {
        name: write(
            name, network.trained[name], storage, gradient=slopes.get(name), learnt=network.learnt
        )
        for name in names
    }


def _trained_gradients(
    storage: Storage, names: Sequence[str], network: Network, split: TestSet | None
) -> Mapping[str, Tensor]:
    """Gradients of the network as trained, where a method chooses by them."""
    learner = next((method for method in storage.stack if method.differentiates), None)
    if learner is None:
        return {}
    if split is None:
        raise ValueError(f"{learner.name} learns from a profile split, and there is none")
    network.reset(unexposed(network.trained, storage.stack, network.learnt, ()))
    return Forward(network.module).gradients(split, names)


def _settled(
    setup: Setup, network: Network, storage: Storage, stored: Mapping[str, Stored]
) -> Forward:
    """The live network with every weight as read, and the rest adapted to it."""
    changed = unexposed(network.trained, storage.stack, network.learnt, stored)
    changed |= {name: held.clean for name, held in stored.items()}
    divisor = 1.0
    network.reset(changed)
    for place, method in enumerate(storage.stack):
        states = {name: held.states[place] for name, held in stored.items()}
        settled = method.settle(network.module, states)
        changed |= settled.values
        divisor *= settled.logits_divisor
        network.reset(changed)
    return Forward(network.module, None, divisor, compute=setup.compute)

"""A setup made ready: weights stored, read back into a live network, and the fault-free answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from campaign.lazy import torch
from campaign.sources.parameters import parameter_kinds
from campaign.spec.grid import Setup
from campaign.trial.evaluate import Counts, TestSet, answers, judge
from campaign.trial.memory import Storage, Stored, exempt_positions, exposed_bits, write

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Network:
    """A network on a device and its trained weights, which trials never change.

    Args:
        module: The live network, in eval mode; its parameters are overwritten by setups.
        trained: Parameters by name, float32, as trained.
        kinds: Kind of each parameter: weights, biases, norms, other.
    """

    module: nn.Module
    trained: Mapping[str, Tensor]
    kinds: Mapping[str, str]

    @classmethod
    def load(
        cls, module: nn.Module, state: Mapping[str, NDArray[np.generic]], device: torch.device
    ) -> Network:
        """Put `state` into `module` on `device`."""
        module.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
        module = module.to(device).eval().requires_grad_(False)
        trained = {n: p.detach().clone() for n, p in module.named_parameters()}
        return cls(module, trained, parameter_kinds(module))


@dataclass(frozen=True)
class Prepared:
    """A setup that trials can run on.

    Args:
        setup: What was prepared.
        network: Its network; exposed parameters hold ``stored[name].clean`` between trials.
        storage: How weights are stored and read.
        stored: The exposed parameters in memory, by name.
        data: The test set.
        fault_free: Logits without faults, float32 (n, classes).
        counts: Outcome without faults.
    """

    setup: Setup
    network: Network
    storage: Storage
    stored: Mapping[str, Stored]
    data: TestSet
    fault_free: Tensor
    counts: Counts

    @property
    def stored_bits(self) -> int:
        """Payload bits of all exposed parameters."""
        return sum(stored.stored_bits for stored in self.stored.values())

    @property
    def check_bits(self) -> int:
        """Check bits of all exposed parameters."""
        return sum(stored.check_bits for stored in self.stored.values())

    @property
    def exposed_bits(self) -> int:
        """Bits that a fault may hit."""
        return sum(exposed_bits(stored, self.storage) for stored in self.stored.values())


def prepare(setup: Setup, network: Network, data: TestSet) -> Prepared:
    """Store the exposed weights of `network` as `setup` says and answer without faults.

    Raises:
        ValueError: If no parameter is exposed, a weight cannot be stored so, or the network does
            not fit the data; the text names the parameter.
    """
    targets = setup.targets
    exempt = exempt_positions(setup.dtype, targets.exempt_bits, targets.only_bits)
    storage = Storage(setup.dtype, setup.stack, setup.nonfinite, exempt, not targets.only_bits)
    names = [n for n in network.trained if targets.match(n, network.kinds[n])]
    if not names:
        raise ValueError(f"no parameter of {setup.model_name} is exposed by {targets.label}")
    stored = {name: write(name, network.trained[name], storage) for name in names}
    parameters = dict(network.module.named_parameters())
    for name, trained in network.trained.items():
        parameters[name].copy_(stored[name].clean if name in stored else trained)
    fault_free = answers(network.module, data)
    highest = int(data.labels.max())
    if highest >= fault_free.shape[1]:
        raise ValueError(
            f"{setup.dataset_name} has labels up to {highest}, "
            f"{setup.model_name} answers {fault_free.shape[1]} classes"
        )
    counts = judge(fault_free, data.labels, fault_free)
    return Prepared(setup, network, storage, stored, data, fault_free, counts)

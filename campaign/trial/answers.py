"""What a setup answers without faults, as one worker has found it and another may take it over."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from campaign.lazy import torch
from campaign.networks.stages import Stages, same_bits
from campaign.trial.evaluate import TestSet
from campaign.trial.forward import Forward
from campaign.trial.prefix import PrefixCache

if TYPE_CHECKING:
    from torch import Tensor


class Flat(NamedTuple):
    """A tensor as a flat array, which travels without a copy, and how it lies there."""

    values: NDArray[np.generic]
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> Flat:
        """The values of a tensor in the order of memory; those of a GPU are copied.

        Raises:
            ValueError: If they do not fill a piece of memory, whatever the order.
        """
        held = tensor.clone() if tensor.untyped_storage().nbytes() != tensor.nbytes else tensor
        if held.untyped_storage().nbytes() != held.nbytes:
            raise ValueError(f"a tensor of strides {tensor.stride()} has gaps")
        flat = held.as_strided((held.numel(),), (1,)).cpu().numpy()
        return cls(flat, tuple(held.shape), held.stride())

    def on(self, device: torch.device) -> Tensor:
        """The tensor on a device, strides as before; on a CPU it must not be written to."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # shared memory is read only
            flat = torch.from_numpy(self.values)
        return flat.to(device).as_strided(self.size, self.stride)


@dataclass(frozen=True)
class Answers:
    """The fault-free answers of a setup and the activations that trials start from.

    Args:
        made_on: What they were computed with; see `TrialWorker`.
        batch_size: Images a forward pass.
        fault_free: Logits, float32 (n, classes).
        held: By the place of a stage, what it gets for each batch; None where passes are whole.
    """

    made_on: str
    batch_size: int
    fault_free: Flat
    held: Mapping[int, tuple[Flat, ...]] | None

    @classmethod
    def of(cls, prefix: PrefixCache, made_on: str) -> Answers | None:
        """Those of a prepared setup; None where a tensor has gaps, or memory holds no copy."""
        try:
            held = {place: tuple(map(Flat.of, parts)) for place, parts in prefix.held.items()}
            free = Flat.of(prefix.fault_free)
        except (ValueError, torch.OutOfMemoryError):
            return None
        size = prefix.data.batch_size
        return cls(made_on, size, free, None if prefix.stages is None else held)

    def taken(self, forward: Forward, data: TestSet, stages: Stages | None) -> PrefixCache | None:
        """What `PrefixCache.filled` gives, after a look at the first and the last batch.

        These are answered here too, whole and from each kept stage, for the last bit may depend on
        the machine and on the size of a batch. None where they differ, or the network is not cut as
        it was there.
        """
        device = data.labels.device
        whole = stages is None or not stages.stand_for_module
        same = (self.batch_size, self.fault_free.size[0]) == (data.batch_size, len(data))
        if not same or (self.held is not None and whole):
            return None
        fault_free = self.fault_free.on(device)
        last = (len(data) - 1) // data.batch_size * data.batch_size
        with torch.inference_mode():
            for start in {0, last}:
                own = forward.batch(data.batch(start))
                if not same_bits(own, fault_free[start : start + data.batch_size]):
                    return None
        if self.held is None or stages is None:
            return PrefixCache(forward, data, None, {}, fault_free)
        held = {p: tuple(flat.on(device) for flat in flats) for p, flats in self.held.items()}
        found = PrefixCache(forward, data, stages, held, fault_free)
        return found if found.holds() else None


def handed_on(assets: Callable[[str], object], key: str, made_on: str) -> Answers | None:
    """What another worker has answered; None where nothing came, or from another kind of worker.

    Args:
        assets: Gives the value of a key, or raises LookupError.
        key: Of the answers of a setup.
        made_on: With what this worker computes.
    """
    try:
        found = cast("Answers | None", assets(key))
    except LookupError:
        return None
    return found if found and found.made_on == made_on else None

"""Processes that train one network together, each on its share of every batch."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """One process of a team, whose process group of torch.distributed is open; by default alone.

    Every process holds the whole network and makes the same changes to it, for gradients and losses
    are means over all of them. So whatever draws or decides for the network must do so alike on
    each.

    Args:
        rank: Which process this is, from 0.
        size: How many there are.
        device: The torch device of this process; None leaves the choice to the training.
    """

    rank: int = 0
    size: int = 1
    device: str | None = None

    @property
    def leads(self) -> bool:
        """Whether this process writes files and tells how it goes."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Its part of a batch of `count` images.

        Raises:
            ValueError: If the parts would not be equal.

        Example:
            >>> Team(1, 4).share(128)
            slice(32, 64, None)
        """
        if count % self.size:
            raise ValueError(
                f"training.workers: {self.size} workers cannot share batches of {count} images "
                "equally; take another batch_size"
            )
        part = count // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def mean(self, tensors: Iterable[Tensor]) -> None:
        """Make each tensor the mean over all processes, in place and in one message."""
        if self.size == 1:
            return
        held = list(tensors)
        flat = torch.cat([each.detach().reshape(-1).to(torch.float32) for each in held])
        flat = self.summed(flat) / self.size
        means = torch.split(flat, [each.numel() for each in held])
        for each, mean in zip(held, means, strict=True):
            each.copy_(mean.view_as(each))

    def summed(self, value: Tensor) -> Tensor:
        """The sum over all processes, a new tensor."""
        total = value.detach().clone()
        if self.size > 1:
            torch.distributed.all_reduce(total)
        return total

    def told(self, value: T) -> T:
        """What the leader has, of a value that can be pickled."""
        if self.size == 1:
            return value
        held = [value]
        torch.distributed.broadcast_object_list(held, src=0, device=self._device)
        return held[0]

    def aligned(self, tensors: Iterable[Tensor]) -> None:
        """Make each tensor what the leader has, in place."""
        if self.size == 1:
            return
        with torch.no_grad():
            for each in tensors:
                torch.distributed.broadcast(each.detach(), src=0)

    def as_one(self) -> AbstractContextManager[object]:
        """Inside the block, BatchNorms in training see the images of all processes."""
        if self.size == 1:
            return nullcontext()
        from campaign.training.batch_norm import over_all

        return over_all(self.summed, self.size)

    @property
    def _device(self) -> torch.device | None:
        return None if self.device is None else torch.device(self.device)


ALONE = Team()
"""A training in one process."""

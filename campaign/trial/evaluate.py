"""The images that trials are judged on, and how answers compare with the fault-free ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from campaign.faults import Stream
from campaign.lazy import torch
from campaign.sources import Images, Preprocess
from campaign.sources.pixels import normalise

if TYPE_CHECKING:
    from torch import Tensor

MOST_NORMALISED_BYTES = 1 << 29
"""Test sets up to this size are kept normalised; larger ones are normalised batch by batch."""

TOP = 5
"""Classes among which the right one counts for top-5."""


class Counts(NamedTuple):
    """How many images had which outcome; see the columns of `campaign.records.TrialRecord`."""

    n_samples: int
    n_correct: int
    n_correct_top5: int
    n_nonfinite: int
    n_masked: int
    n_benign: int
    n_sdc: int
    n_sdc5: int
    n_improved: int


@dataclass(frozen=True)
class TestSet:
    """Images on a device, ready for a network.

    Args:
        pixels: uint8 (n, channels, height, width), or float32 if already normalised.
        labels: int64 (n,).
        preprocess: How pixels are normalised.
        batch_size: Images a forward pass.
    """

    __test__ = False

    pixels: Tensor
    labels: Tensor
    preprocess: Preprocess
    batch_size: int

    @classmethod
    def load(
        cls,
        images: Images,
        preprocess: Preprocess,
        *,
        chosen: NDArray[np.int64] | None,
        batch_size: int,
        device: torch.device,
    ) -> TestSet:
        """Move a test set, or the `chosen` images of it, to `device`."""
        pixels, labels = images
        if chosen is not None and len(chosen) < len(labels):
            pixels, labels = pixels[chosen], labels[chosen]
        moved = torch.tensor(pixels).to(device)
        if moved.numel() * 4 <= MOST_NORMALISED_BYTES:
            moved = normalise(moved, preprocess)
        return cls(moved, torch.tensor(labels).to(device), preprocess, batch_size)

    def __len__(self) -> int:
        return int(self.labels.numel())

    def in_batches(self, most: int) -> TestSet:
        """The same images in batches of `most`."""
        return replace(self, batch_size=most)

    def channels_last(self) -> TestSet:
        """The same images with the channels of a pixel as neighbours in memory."""
        return replace(self, pixels=self.pixels.contiguous(memory_format=torch.channels_last))

    def batch(self, start: int, stop: int | None = None) -> Tensor:
        """Normalised images from `start` on, float32 (at most batch_size, channels, h, w)."""
        end = start + self.batch_size
        part = self.pixels[start : end if stop is None else min(end, stop)]
        return part if part.is_floating_point() else normalise(part, self.preprocess)


def chosen_images(count: int, subset: int | None, held_out: int = 0) -> NDArray[np.int64]:
    """Which of `count` images trials are judged on, ascending.

    A fixed permutation orders the images: the first `subset` are taken (all if None), the last
    `held_out` never. So a larger subset holds a smaller one.

    Raises:
        ValueError: If there are not so many images.

    Example:
        >>> len(set(chosen_images(100, 10)) - set(chosen_images(100, 20)))
        0
    """
    left = count - held_out
    wanted = left if subset is None else subset
    if left < 1 or (held_out and wanted > left):
        raise ValueError(
            f"the test set has {count} images; evaluation.subset asks for {wanted} and "
            f"profile.images for {held_out} others: lower one of them"
        )
    return np.sort(_order(count)[: min(wanted, left)])


def held_out_images(count: int, held_out: int) -> NDArray[np.int64]:
    """The images that `chosen_images` never takes, ascending.

    Raises:
        ValueError: If there are not so many images.

    Example:
        >>> sorted([*chosen_images(9, None, 3), *held_out_images(9, 3)]) == list(range(9))
        True
    """
    if held_out > count:
        raise ValueError(f"profile.images asks for {held_out} of {count} images; lower it")
    return np.sort(_order(count)[count - held_out :])


def _order(count: int) -> NDArray[np.int64]:
    return np.argsort(Stream(0, "dataset", "subset", 64).uniform(count), kind="stable")


@dataclass(frozen=True)
class Judge:
    """Counts outcomes against what is asked of the fault-free answers once.

    Args:
        labels: int64 (n,).
        fault_free: float32 (n, classes): what the same stored network answers without faults.
    """

    labels: Tensor
    fault_free: Tensor

    @cached_property
    def _best(self) -> Tensor:
        return _nan_last(self.fault_free).argmax(1)

    @cached_property
    def _right(self) -> Tensor:
        return (self._best == self.labels) & self.fault_free.isfinite().all(1)

    @cached_property
    def _plain(self) -> _Plain:
        best, right = self._best.numpy(), self._right.numpy()
        return _Plain(_classes_first(self.fault_free), self.labels.numpy(), best, right)

    def __call__(self, logits: Tensor) -> Counts:
        """Count the outcomes of logits under faults, float32 (n, classes); see `judge`."""
        if logits.device.type == "cpu":
            return self._plain.counted(_classes_first(logits))
        labels, reference = self.labels, self._best
        finite = logits.isfinite().all(1)
        ranked = _nan_last(logits)
        best = ranked.argmax(1)
        top = ranked.topk(min(TOP, logits.shape[1]), dim=1).indices  # (n, 5)
        same = (logits.view(torch.int32) == self.fault_free.view(torch.int32)).all(1) & finite
        right = (best == labels) & finite
        changed = (best != reference) & finite
        counted = (
            right,
            (top == labels[:, None]).any(1) & finite,
            ~finite,
            same,
            finite & ~same & ~changed,
            changed,
            finite & ~(top == reference[:, None]).any(1),
            right & ~self._right,
        )
        return Counts(labels.numel(), *torch.stack(counted).sum(1).tolist())


class _Plain(NamedTuple):
    """A judge on the CPU: for few numbers, calls of numpy take a third of the time of torch's."""

    fault_free: NDArray[np.float32]
    """(classes, n), as all logits here: to look along the images is to look along the memory."""
    labels: NDArray[np.int64]
    reference: NDArray[np.int64]
    """The best class without faults, (n,)."""
    right: NDArray[np.bool_]
    """Whether that is the label, (n,)."""

    def counted(self, logits: NDArray[np.float32]) -> Counts:
        """Count the outcomes of logits under faults."""
        finite = np.isfinite(logits).all(0)
        ranked = logits
        if not finite.all():  # as of `_nan_last`
            ranked = np.where(np.isnan(logits), np.float32(-np.inf), logits)
        best = ranked.argmax(0)
        same = (logits.view(np.int32) == self.fault_free.view(np.int32)).all(0) & finite
        right = (best == self.labels) & finite
        changed = (best != self.reference) & finite
        counted = (
            right,
            _in_top(ranked, self.labels) & finite,
            ~finite,
            same,
            finite & ~same & ~changed,
            changed,
            finite & ~_in_top(ranked, self.reference),
            right & ~self.right,
        )
        return Counts(self.labels.size, *(int(np.count_nonzero(found)) for found in counted))


def _in_top(ranked: NDArray[np.float32], chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the class that is `chosen` of each image is among its five best, as topk says.

    Args:
        ranked: (classes, n), without NaN.
        chosen: (n,).
    """
    own = ranked[chosen, np.arange(chosen.size)]
    before = (ranked > own).sum(0, dtype=np.int32)
    within = (ranked >= own).sum(0, dtype=np.int32)
    found: NDArray[np.bool_] = within <= TOP
    tied = np.flatnonzero((before < TOP) & ~found)
    if tied.size:
        top = torch.from_numpy(np.ascontiguousarray(ranked[:, tied].T)).topk(TOP, dim=1).indices
        found[tied] = (top.numpy() == chosen[tied, None]).any(1)
    return found


def _classes_first(logits: Tensor) -> NDArray[np.float32]:
    """Of (n, classes), (classes, n)."""
    return np.ascontiguousarray(logits.numpy().T)


def judge(logits: Tensor, labels: Tensor, fault_free: Tensor) -> Counts:
    """Count outcomes.

    Args:
        logits: float32 (n, classes) under faults.
        labels: int64 (n,).
        fault_free: float32 (n, classes): what the same stored network answers without faults.

    Returns:
        Counts; ``n_masked + n_benign + n_sdc + n_nonfinite == n_samples``. An image with a
        non-finite logit is wrong, in top-1 and in top-5, and its own class of outcome.
    """
    return Judge(labels, fault_free)(logits)


def by_margin(fault_free: Tensor, labels: Tensor) -> NDArray[np.int64]:
    """Images in the order of their margin: the logit of the right class less the largest other.

    Args:
        fault_free: float32 (n, classes).
        labels: int64 (n,).

    Returns:
        int64 (n,), the smallest margin first, ties by number; a margin that is no number counts as
        the smallest.

    Example:
        >>> logits = torch.tensor([[3.0, 1.0], [0.0, 4.0], [1.0, 2.0]])
        >>> by_margin(logits, torch.tensor([0, 1, 0]))
        array([2, 0, 1])
    """
    own = labels[:, None]
    others = fault_free.scatter(1, own, -torch.inf).amax(1)
    margin = fault_free.gather(1, own)[:, 0] - others
    ranked = torch.where(margin.isnan(), -torch.inf, margin).cpu().numpy()
    return np.argsort(ranked, kind="stable").astype(np.int64)


def _nan_last(logits: Tensor) -> Tensor:
    """Logits in which NaN ranks last."""
    return torch.nan_to_num(logits, nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)

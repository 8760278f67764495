"""What a network answers on a test set, and how the answers compare with the fault-free ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from campaign.faults import Stream
from campaign.lazy import torch
from campaign.sources import Images, Preprocess

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_NORMALISED_BYTES = 1 << 29
"""Test sets up to this size are kept normalised; larger ones are normalised batch by batch."""


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
        subset: int | None,
        batch_size: int,
        device: torch.device,
    ) -> TestSet:
        """Move a test set, or a fixed random subset of it, to `device`."""
        pixels, labels = images
        if subset is not None and subset < len(labels):
            chosen = subset_indices(len(labels), subset)
            pixels, labels = pixels[chosen], labels[chosen]
        moved = torch.tensor(pixels).to(device)
        if moved.numel() * 4 <= MOST_NORMALISED_BYTES:
            moved = normalise(moved, preprocess)
        return cls(moved, torch.tensor(labels).to(device), preprocess, batch_size)

    def __len__(self) -> int:
        return int(self.labels.numel())

    def batch(self, start: int) -> Tensor:
        """Normalised images from `start` on, float32 (at most batch_size, channels, h, w)."""
        part = self.pixels[start : start + self.batch_size]
        return part if part.is_floating_point() else normalise(part, self.preprocess)


def normalise(pixels: Tensor, preprocess: Preprocess) -> Tensor:
    """(pixel / divisor - mean) / std per channel, float32, in torchvision's order of operations."""
    mean = torch.tensor(preprocess.mean, device=pixels.device).view(1, -1, 1, 1)
    std = torch.tensor(preprocess.std, device=pixels.device).view(1, -1, 1, 1)
    return (pixels.to(torch.float32) / preprocess.divisor - mean) / std


def subset_indices(count: int, size: int) -> NDArray[np.int64]:
    """`size` of `count` indices, ascending, by a fixed permutation; a larger one holds a smaller.

    Example:
        >>> len(set(subset_indices(100, 10)) - set(subset_indices(100, 20)))
        0
    """
    order = np.argsort(Stream(0, "dataset", "subset", 64).uniform(count), kind="stable")
    return np.sort(order[:size])


def answers(model: nn.Module, data: TestSet) -> Tensor:
    """Logits of every image, float32 (n, classes), on the device of `data`."""
    with torch.inference_mode():
        parts = [model(data.batch(start)) for start in range(0, len(data), data.batch_size)]
        return torch.cat(parts).to(torch.float32)


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
    finite = logits.isfinite().all(1)
    top, best = _ranked(logits)
    _, reference = _ranked(fault_free)
    reference_right = (reference == labels) & fault_free.isfinite().all(1)
    same = (logits.view(torch.int32) == fault_free.view(torch.int32)).all(1) & finite
    right = (best == labels) & finite
    changed = (best != reference) & finite
    in_top = ((top == labels[:, None]).any(1)) & finite
    kept = ((top == reference[:, None]).any(1)) & finite
    counted = (
        right,
        in_top,
        ~finite,
        same,
        finite & ~same & ~changed,
        changed,
        finite & ~kept,
        right & ~reference_right,
    )
    return Counts(labels.numel(), *torch.stack([flag.sum() for flag in counted]).tolist())


def _ranked(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The five best classes (n, 5) and the best (n,); NaN ranks last."""
    ranked = torch.nan_to_num(logits, nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    top = ranked.topk(min(5, logits.shape[1]), dim=1).indices
    return top, ranked.argmax(1)

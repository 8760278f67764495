"""Stored pixels as the input of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campaign.lazy import torch
from campaign.sources.base import Preprocess

if TYPE_CHECKING:
    from torch import Tensor


def normalise(pixels: Tensor, preprocess: Preprocess) -> Tensor:
    """(pixel / divisor - mean) / std per channel, float32, in torchvision's order of operations."""
    mean = torch.tensor(preprocess.mean, device=pixels.device).view(1, -1, 1, 1)
    std = torch.tensor(preprocess.std, device=pixels.device).view(1, -1, 1, 1)
    return (pixels.to(torch.float32) / preprocess.divisor - mean) / std

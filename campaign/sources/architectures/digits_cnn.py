"""A small network for 8x8 images: two convolutions and a linear layer."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class DigitsCnn(nn.Module):
    """9,872 weights and 58 biases, all used; input (batch, 1, 8, 8)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.linear = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        x = self.relu1(self.conv1(x))
        x = F.max_pool2d(self.relu2(self.conv2(x)), 2)  # (batch, 32, 4, 4)
        logits: Tensor = self.linear(x.flatten(1))
        return logits


def digits_cnn(num_classes: int) -> nn.Module:
    """The network of the source ``digits_cnn``, untrained."""
    return DigitsCnn(num_classes)

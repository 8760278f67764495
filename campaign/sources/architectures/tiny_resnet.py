"""ResNet-8 of MLPerf Tiny: the image classification reference, in TensorFlow's padding."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-3
"""Keras' default of BatchNorm, with which the reference was trained."""


class SamePaddingBlock(nn.Module):
    """Two 3x3 convolutions with biases and a 1x1 shortcut where the stride is 2."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1 if stride == 1 else 0)
        self.bn1 = nn.BatchNorm2d(after, eps=EPSILON)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(after, eps=EPSILON)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Conv2d(before, after, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """ReLU of the residual plus the shortcut."""
        # TensorFlow's SAME padding of an even side at stride 2: only right and below.
        padded = x if self.stride == 1 else F.pad(x, (0, 1, 0, 1))
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(padded)))))
        output: Tensor = self.relu2(residual + self.shortcut(x))
        return output


class TinyResNet8(nn.Module):
    """77,360 weights; input (batch, 3, 32, 32), raw pixels 0..255.

    Source: Banbury et al., MLPerf Tiny, NeurIPS Datasets and Benchmarks 2021.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16, eps=EPSILON)
        self.relu = nn.ReLU()
        self.layer1 = SamePaddingBlock(16, 16, 1)
        self.layer2 = SamePaddingBlock(16, 32, 2)
        self.layer3 = SamePaddingBlock(32, 64, 2)
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))  # (batch, 64, 8, 8)
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def tiny_resnet8(num_classes: int) -> nn.Module:
    """ResNet-8 of MLPerf Tiny, untrained."""
    return TinyResNet8(num_classes)

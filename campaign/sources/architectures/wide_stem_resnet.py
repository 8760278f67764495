"""CIFAR ResNets with a stem of 64 channels and one ReLU per stage."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class LinearBlock(nn.Module):
    """Two convolutions and a shortcut; no activation after the sum."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        projection = [nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)]
        changes = stride != 1 or before != after
        self.shortcut = nn.Sequential(*(projection if changes else []))

    def forward(self, x: Tensor) -> Tensor:
        """The residual plus the shortcut."""
        residual: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut: Tensor = self.shortcut(x)
        return residual + shortcut


class WideStemResNet(nn.Module):
    """64 channels, then stages of 16, 32 and 64; input (batch, 3, 32, 32).

    The features are means over 4x4 pixels, 256 in all, as in published ResNet-8 and ResNet-20
    checkpoints for fault studies.
    """

    def __init__(self, blocks: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 16, 1, blocks)
        self.layer2 = _stage(16, 32, 2, blocks)
        self.layer3 = _stage(32, 64, 2, blocks)
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(4))
        self.linear = nn.Linear(256, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        x = self.relus[0](self.bn1(self.conv1(x)))
        x = self.relus[1](self.layer1(x))
        x = self.relus[2](self.layer2(x))
        x = self.relus[3](self.layer3(x))
        logits: Tensor = self.linear(F.avg_pool2d(x, 4).flatten(1))
        return logits


def _stage(before: int, after: int, stride: int, blocks: int) -> nn.Sequential:
    first = LinearBlock(before, after, stride)
    return nn.Sequential(first, *(LinearBlock(after, after, 1) for _ in range(blocks - 1)))


def wide_stem_resnet(blocks: int, num_classes: int) -> nn.Module:
    """ResNet-(6 * blocks + 2) with a wide stem, untrained."""
    return WideStemResNet(blocks, num_classes)

"""LeNet-5 with ReLU and max pooling on 32x32 RGB images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class LenetCifar(nn.Module):
    """Two 5x5 convolutions and three linear layers; input (batch, 3, 32, 32).

    Source: LeCun et al., Proc. IEEE 86(11), 1998, in the form of PyTorch's CIFAR-10 tutorial.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        x = F.max_pool2d(self.relus[0](self.conv1(x)), 2)
        x = F.max_pool2d(self.relus[1](self.conv2(x)), 2)
        x = self.relus[2](self.fc1(x.flatten(1)))
        x = self.relus[3](self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits


def lenet_cifar(num_classes: int) -> nn.Module:
    """LeNet-5 for CIFAR, untrained."""
    return LenetCifar(num_classes)

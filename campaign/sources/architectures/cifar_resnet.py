"""The CIFAR ResNets of He et al.: 6n + 2 layers of 16, 32 and 64 channels."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn


def _conv3x3(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride, padding=1, bias=False)


class _Residual(nn.Module):
    """What both kinds of block have: two convolutions, each with its BatchNorm."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(before, after, stride)
        self.bn1 = nn.BatchNorm2d(after)
        self.relu1 = nn.ReLU()
        self.conv2 = _conv3x3(after, after)
        self.bn2 = nn.BatchNorm2d(after)
        self.relu2 = nn.ReLU()

    def shortcut(self, x: Tensor) -> Tensor:
        """The input in the shape of the output; the identity unless overridden."""
        return x

    def first(self, x: Tensor) -> Tensor:
        """The first convolution, with its BatchNorm and ReLU."""
        value: Tensor = self.relu1(self.bn1(self.conv1(x)))
        return value

    def forward(self, x: Tensor) -> Tensor:
        """ReLU of the residual plus the shortcut."""
        residual = self.bn2(self.conv2(self.first(x)))
        output: Tensor = self.relu2(residual + self.shortcut(x))
        return output


class PaddingBlock(_Residual):
    """Option A: every second pixel, missing channels zero; no parameters in the shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__(before, after, stride)
        self.stride, self.missing = stride, after - before

    def shortcut(self, x: Tensor) -> Tensor:
        """Zeros are put evenly before and after the channels of the input."""
        if self.stride == 1 and self.missing == 0:
            return x
        ahead = self.missing // 2
        sparse = x[:, :, :: self.stride, :: self.stride]
        return F.pad(sparse, (0, 0, 0, 0, ahead, self.missing - ahead))


class ReluFirstBlock(PaddingBlock):
    """A `PaddingBlock` whose inner ReLU stands before its BatchNorm, in the same names."""

    def first(self, x: Tensor) -> Tensor:
        """The first convolution, with its ReLU and BatchNorm."""
        value: Tensor = self.bn1(self.relu1(self.conv1(x)))
        return value


class ProjectionBlock(_Residual):
    """Option B: a 1x1 convolution with BatchNorm where the shape changes."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__(before, after, stride)
        self.downsample: nn.Module | None = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def shortcut(self, x: Tensor) -> Tensor:
        """The projection, where there is one."""
        return x if self.downsample is None else self.downsample(x)


class CifarResNet(nn.Module):
    """6n + 2 layers; input (batch, 3, 32, 32). Source: He et al., CVPR 2016, section 4.2.

    Args:
        block: `PaddingBlock`, `ReluFirstBlock` or `ProjectionBlock`.
        blocks: n, blocks in each of the three stages.
        head: Name of the last layer in weight files.
        num_classes: Outputs.
        relu_first: Let the ReLU of the first layer stand before its BatchNorm.
    """

    def __init__(
        self,
        block: Callable[[int, int, int], nn.Module],
        blocks: int,
        head: str,
        num_classes: int,
        *,
        relu_first: bool = False,
    ) -> None:
        super().__init__()
        self.relu_first = relu_first
        self.conv1 = _conv3x3(3, 16)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = _stage(block, 16, 16, blocks)
        self.layer2 = _stage(block, 16, 32, blocks)
        self.layer3 = _stage(block, 32, 64, blocks)
        self.head = head
        self.add_module(head, nn.Linear(64, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (batch, classes)."""
        x = self.conv1(x)
        x = self.bn1(self.relu(x)) if self.relu_first else self.relu(self.bn1(x))
        x = self.layer3(self.layer2(self.layer1(x)))  # (batch, 64, 8, 8)
        logits: Tensor = self.get_submodule(self.head)(x.mean((2, 3)))
        return logits


def _stage(
    block: Callable[[int, int, int], nn.Module], before: int, after: int, blocks: int
) -> nn.Sequential:
    first = block(before, after, after // before)
    return nn.Sequential(first, *(block(after, after, 1) for _ in range(blocks - 1)))


def option_a(blocks: int, num_classes: int) -> nn.Module:
    """Parameter-free shortcuts; the last layer is called ``linear``."""
    return CifarResNet(PaddingBlock, blocks, "linear", num_classes)


def relu_first(blocks: int, num_classes: int) -> nn.Module:
    """The order of DieHardNet: ReLU, then BatchNorm; sums of blocks as in `option_a`, and names.

    Source: Cavagnero et al., IOLTS 2022, arXiv 2205.14420. Departs: BatchNorms keep their factors.
    """
    return CifarResNet(ReluFirstBlock, blocks, "linear", num_classes, relu_first=True)


def option_b(blocks: int, num_classes: int) -> nn.Module:
    """Projection shortcuts (``downsample``); the last layer is called ``fc``.

    Parameter names are those of the published checkpoints of pytorch-cifar-models.
    """
    return CifarResNet(ProjectionBlock, blocks, "fc", num_classes)

"""Convolutions that pad as TensorFlow's SAME does, from the size of what they are given."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SamePaddedConv2d(nn.Conv2d):
    """A convolution that gives ceil(size / stride) values a side, with the odd zero behind.

    A side of n gets p = max((ceil(n / s) - 1) s + (k - 1) d + 1 - n, 0) zeros for a kernel of k,
    stride s and dilation d: floor(p / 2) before, the rest after. At stride 2 and an even side a 3x3
    kernel so pads below and to the right alone, where torch pads on all sides.
    Source: TensorFlow, tf.nn, notes on padding of convolution operations.
    """

    def forward(self, input: Tensor) -> Tensor:
        """As that of Conv2d; the attribute ``padding`` is not looked at."""
        zeros = list[int]()
        for axis in (1, 0):  # F.pad wants the last dimension first
            size, stride = input.shape[axis - 2], self.stride[axis]
            reach = (self.kernel_size[axis] - 1) * self.dilation[axis] + 1
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            zeros += [total // 2, total - total // 2]
        padded = F.pad(input, zeros) if any(zeros) else input
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def pad_same(module: nn.Module) -> int:
    """Let strided convolutions of `module` that pad with zeros pad as TensorFlow's SAME does.

    Only torch's own ``Conv2d`` is changed, in place: parameters, hooks and names stay. Convolutions
    without padding stay, and so do layers of pooling.

    Returns:
        How many convolutions were changed.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, padding=1), nn.Conv2d(8, 8, 3, padding=1))
        >>> pad_same(net), [type(part).__name__ for part in net]
        (1, ['SamePaddedConv2d', 'Conv2d'])
    """
    found = [part for part in module.modules() if type(part) is nn.Conv2d and _strided(part)]
    for part in found:
        part.__class__ = SamePaddedConv2d
    return len(found)


def _strided(part: nn.Conv2d) -> bool:
    """Whether `part` takes steps, and pads with zeros, of which there is a number."""
    numbered = part.padding_mode == "zeros" and not isinstance(part.padding, str)
    return numbered and any(part.padding) and max(part.stride) > 1

"""Parametrizations with a gradient of their own; imports torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Elementwise: TypeAlias = "Callable[[Tensor], Tensor]"


class Through(nn.Module):
    """Compute with ``read(value)``, and learn as if its slope were ``slope(value)``.

    So a network trains with the very numbers that reading gives, however they are computed. Without
    a slope the gradient passes as it is: the straight-through rule of Bengio et al., arXiv
    1308.3432.

    Args:
        read: Keeps shape and dtype, and changes no argument.
        slope: The derivative of `read`, value by value; None is 1.

    Example:
        >>> weight = torch.tensor([0.3, 1.6], requires_grad=True)
        >>> Through(torch.round)(weight).sum().backward()
        >>> weight.grad
        tensor([1., 1.])
    """

    def __init__(self, read: Elementwise, slope: Elementwise | None = None) -> None:
        super().__init__()
        self.read, self.slope = read, slope

    def forward(self, value: Tensor) -> Tensor:
        read: Tensor = _Read.apply(value, self.read, self.slope)
        return read


class Gain(nn.Module):
    """Compute with the value times a factor that is trained, 1 at first."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones((), device=device))

    def forward(self, value: Tensor) -> Tensor:
        return value * self.factor


class PlusOne(nn.Module):
    """Compute with 1 plus the value."""

    def forward(self, value: Tensor) -> Tensor:
        return value + 1


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, read: Elementwise, slope: Elementwise | None) -> Tensor:  # noqa: ANN401
        ctx.slope = slope
        if slope is not None:
            ctx.save_for_backward(value)
        # What is read may share memory with what is stored, which the optimizer changes in place.
        found = read(value.detach())
        return found.clone() if found.data_ptr() == value.data_ptr() else found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        if ctx.slope is None:
            return gradient, None, None
        (value,) = ctx.saved_tensors
        return gradient * ctx.slope(value), None, None

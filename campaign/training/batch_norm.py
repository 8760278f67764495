"""BatchNorm over the images of all workers together, on the CPU and on GPUs; imports torch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function

from campaign.networks.calls import intercepted

Summed: TypeAlias = "Callable[[Tensor], Tensor]"
"""The sum of a tensor over all workers, on each of them the same; gives a new tensor."""


class _Sum(Function):
    """A sum over workers that gradients pass back through: each worker gets the sum of them."""

    @staticmethod
    def forward(context: Any, summed: Summed, value: Tensor) -> Tensor:  # noqa: ANN401
        context.summed = summed
        return summed(value)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[None, Tensor]:  # noqa: ANN401
        return None, context.summed(gradients[0])


def over_all(summed: Summed, workers: int) -> AbstractContextManager[object]:
    """Inside the block every BatchNorm that trains takes the images of all workers as one batch.

    torch's own SyncBatchNorm does so on GPUs alone.

    Args:
        summed: Sums over the workers, which hold equally many images.
        workers: How many there are.
    """

    def call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        if func is not torch.nn.functional.batch_norm:
            return func(*args, **kwargs)
        given = dict(zip(_NAMES, args, strict=False)) | kwargs
        if not given.get("training", False):
            return func(*args, **kwargs)
        return _normalised(summed, workers, **given)

    return intercepted(call)


_NAMES = "input running_mean running_var weight bias training momentum eps".split()


def _normalised(
    summed: Summed,
    workers: int,
    *,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    value = input.to(torch.float32)  # (images, channels, ...)
    dims = [0, *range(2, value.dim())]
    count = value.numel() // value.shape[1] * workers
    shape = [1, -1, *[1] * (value.dim() - 2)]
    mean: Tensor = _Sum.apply(summed, value.sum(dims)) / count
    centred = value - mean.reshape(shape)
    squares = centred.square().sum(dims)
    variance: Tensor = _Sum.apply(summed, squares) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.detach(), momentum)
            running_var.lerp_(variance.detach() * (count / (count - 1)), momentum)
    found = centred * (variance + eps).rsqrt().reshape(shape)
    found = found if weight is None else found * weight.reshape(shape)
    found = found if bias is None else found + bias.reshape(shape)
    return found.to(input.dtype)

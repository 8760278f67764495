"""Blocks of consecutive values in a row, which share a scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def blocks(values: Tensor, size: int) -> Tensor:
    """Cut each row into blocks of `size` values.

    A row is what has one index of dimension 0, flattened: the weights of an output channel. With
    fewer than two dimensions all values are one row. The last block of a row is filled up with the
    row's last value, so that it has the extremes of its own values.

    Returns:
        Shape (rows, blocks, size).

    Example:
        >>> import torch
        >>> blocks(torch.arange(6.0).reshape(2, 3), 2).tolist()
        [[[0.0, 1.0], [2.0, 2.0]], [[3.0, 4.0], [5.0, 5.0]]]
    """
    rows, columns = _rows(values.shape)
    count = -(-columns // size)
    flat = values.reshape(rows, columns)
    if count * size > columns:
        filler = flat[:, -1:].expand(rows, count * size - columns)
        flat = torch.cat([flat, filler], dim=1)
    return flat.reshape(rows, count, size)


def spread(per_block: Tensor, shape: Sequence[int], size: int) -> Tensor:
    """Give each value of a tensor of `shape` the number of its block.

    Args:
        per_block: Shape (rows, blocks).
        shape: Of the values.
        size: Values in a block.

    Example:
        >>> import torch
        >>> spread(torch.tensor([[1.0, 2.0]]), (3,), 2)
        tensor([1., 1., 2.])
    """
    _, columns = _rows(shape)
    return per_block.repeat_interleave(size, dim=1)[:, :columns].reshape(tuple(shape))


def _rows(shape: Sequence[int]) -> tuple[int, int]:
    """Rows, and values in each."""
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))

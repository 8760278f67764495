"""Blocks of consecutive values in a row, which share a scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from campaign.lazy import np, torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
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


def spread_at(per_block: Tensor, shape: Sequence[int], size: int, index: Tensor) -> Tensor:
    """What `spread` gives at the flat places `index` (int64, shape (k,)) of a tensor of `shape`.

    Example:
        >>> import torch
        >>> spread_at(torch.tensor([[1.0, 2.0]]), (3,), 2, torch.tensor([1, 2]))
        tensor([1., 2.])
    """
    rows, columns = _rows(shape)
    if rows == 1:
        return per_block[0, index // size]
    return per_block[index // columns, index % columns // size]


def broadcast_at(constant: Tensor, shape: Sequence[int], index: Tensor) -> Tensor:
    """A constant that broadcasts against `shape`, at flat places: shape (k,), or () if it is one.

    Example:
        >>> import torch
        >>> broadcast_at(torch.tensor([[1.0], [2.0]]), (2, 3), torch.tensor([1, 2, 3]))
        tensor([1., 1., 2.])
    """
    if constant.numel() == 1:
        return constant.view(())
    return constant.expand(tuple(shape)).take(index)


def block_members(shape: Sequence[int], size: int, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Flat places of the values in the blocks `chosen`, flat indices of `blocks`: ascending.

    Args:
        shape: Of the values.
        size: Values in a block.
        chosen: int64, ascending and distinct.

    Example:
        >>> import numpy
        >>> block_members((2, 3), 2, numpy.array([1, 2]))
        array([2, 3, 4])
    """
    _, columns = _rows(shape)
    row, block = np.divmod(chosen, -(-columns // size))
    column = (block * size)[:, None] + np.arange(size)
    return (row[:, None] * columns + column)[column < columns]


def _rows(shape: Sequence[int]) -> tuple[int, int]:
    """Rows, and values in each."""
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))

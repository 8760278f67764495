"""The largest magnitude of a tensor or of each of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def largest_magnitude(values: Tensor, *, by_row: bool = False) -> Tensor:
    """Compute max|x|; 0 where there are no values.

    Args:
        values: Float tensor of any shape.
        by_row: One maximum for each index of dimension 0, where there are two dimensions or more.

    Returns:
        Of the dtype of `values` and broadcastable to it: shape (rows, 1, ...) by row, else ().

    Example:
        >>> import torch
        >>> largest_magnitude(torch.tensor([[1.0, -2.0], [0.5, 0.0]]), by_row=True)
        tensor([[2.0000],
                [0.5000]])
    """
    if values.numel() == 0:
        return values.new_zeros(())
    if by_row and values.ndim > 1:
        return values.abs().amax(tuple(range(1, values.ndim)), keepdim=True)
    return values.abs().max()

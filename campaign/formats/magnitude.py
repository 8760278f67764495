"""The largest magnitude of a tensor or of each of its rows, and percentiles of magnitudes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from campaign.formats.pieces import PIECE
from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

_STEP = 64
"""Of so many values one is in a sample."""
_MANY = 1 << 13
"""Values from which on a sample saves time."""


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
    low, high = values.aminmax()
    return torch.maximum(low.abs(), high.abs())


def percentile_magnitude(values: Tensor, percentile: float, *, by_row: bool = False) -> Tensor:
    """Compute the least |x| that `percentile` of 100 of the |x| do not exceed; 0 where none are.

    This is the magnitude of rank ceil(percentile / 100 * n), counted from the least: always one of
    the values, and their maximum at 100.

    Args:
        values: Float tensor of any shape, without NaN.
        percentile: In (0, 100].
        by_row: As in `largest_magnitude`, as is what is returned.

    Example:
        >>> import torch
        >>> percentile_magnitude(torch.tensor([1.0, -2.0, 8.0, 0.5]), 75)
        tensor(2.)
    """
    if values.numel() == 0:
        return values.new_zeros(())
    many = by_row and values.ndim > 1
    rows = values.reshape(len(values) if many else 1, -1)
    rank = rank_of(percentile, rows.shape[1])
    if not many:
        return _of_rank(rows.view(-1), rank).view(())
    found = rows.abs().kthvalue(rank).values
    return found.view(-1, *(1,) * (values.ndim - 1))


def _of_rank(values: Tensor, rank: int) -> Tensor:
    """The magnitude of a rank; of many values only the largest, beyond one of a sample, are sorted.

    The sample says where to cut, never what the answer is: where too few lie beyond, all are taken.
    """
    count = len(values)
    wanted = count - rank + 1  # so many are at least as large as the answer
    if count >= _MANY and wanted < count // 8:
        sample = values[::_STEP].abs()
        least = sample.kthvalue(max(1, len(sample) - 2 * wanted // _STEP - 32)).values
        parts = (part.abs() for part in torch.split(values, PIECE))
        held = torch.cat([part[part >= least] for part in parts])
        if len(held) >= wanted:
            found: Tensor = held.kthvalue(len(held) - wanted + 1).values
            return found
    found = values.abs().kthvalue(rank).values
    return found


def rank_of(percentile: float, count: int) -> int:
    """ceil(percentile / 100 * count), with the percentile as it is written in decimals.

    Example:
        >>> rank_of(99.9, 1000), rank_of(0.01, 5)
        (999, 1)
    """
    return math.ceil(Fraction(str(percentile)) * count / 100)

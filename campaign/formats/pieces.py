"""Element by element arithmetic on pieces of a tensor, so that what lies between stays in cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

PIECE = 1 << 15
"""Values of a piece: 256 KiB in float64, and few enough that torch does not share them out among
threads, whose meeting costs more on a busy machine than the work."""


def by_pieces(
    values: Tensor, constant: Tensor, compute: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """``compute(values, constant)``, a piece of `values` after another.

    Large temporary tensors cost more than the arithmetic: each is fresh memory. A GPU, a gradient
    and a tensor that is small or not contiguous get the whole at once; the result is the same.

    Args:
        values: Of any shape.
        constant: One value, or one for each index of dimension 0, shape (rows, 1, ...).
        compute: Works element by element, keeps the shape and changes no argument; what it gives in
            another dtype is rounded to that of `values`.

    Example:
        >>> import torch
        >>> by_pieces(torch.arange(3.0), torch.tensor(2.0), lambda x, c: x * c)
        tensor([0., 2., 4.])
    """
    whole = values.numel() <= PIECE or values.requires_grad or values.device.type != "cpu"
    if whole or not values.is_contiguous():
        return compute(values, constant).to(values.dtype)
    result = torch.empty_like(values)
    for piece, each, into in _pieces(values, constant, result):
        into.copy_(compute(piece, each))
    return result


def _pieces(
    values: Tensor, constant: Tensor, result: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Views of the values, their constants, and where the results go."""
    if constant.numel() == 1:
        flat, into, rows = values.view(-1), result.view(-1), PIECE
        constant = constant.view(())
    else:
        flat, into, rows = values, result, max(1, PIECE // values[0].numel())
    for start in range(0, len(flat), rows):
        cut = slice(start, start + rows)
        yield flat[cut], constant[cut] if constant.ndim else constant, into[cut]

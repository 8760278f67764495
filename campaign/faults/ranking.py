"""The highest of many scores, in an order that ties do not disturb."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def highest(scores: Tensor, count: int) -> Tensor:
    """Where the `count` highest scores are, highest first; of equal ones the earlier first.

    `topk` alone may order equal scores differently on another device.

    Args:
        scores: Float, shape (n,), without NaN; negative infinity is never among the highest.
        count: How many are wanted.

    Returns:
        int64, shape (k,), k = min(count, scores above negative infinity).

    Example:
        >>> import torch
        >>> highest(torch.tensor([1.0, 3.0, -torch.inf, 3.0, 2.0]), 3)
        tensor([1, 3, 4])
    """
    open_scores = scores > -torch.inf
    wanted = min(count, int(open_scores.sum()))
    if wanted == 0:
        return torch.empty(0, dtype=torch.int64, device=scores.device)
    least = scores.topk(wanted).values[-1]
    held = (scores >= least).nonzero().view(-1)
    return held[scores[held].argsort(descending=True, stable=True)[:wanted]]

"""Which of several choices no other one beats in everything."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def undominated(
    costs: npt.NDArray[np.float64], gains: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Whether no other choice costs as little or less and gains as much or more, one strictly.

    Equal choices do not dominate each other. A choice with a NaN is on no front and dominates none.

    Args:
        costs: Shape (n, k), the less the better.
        gains: Shape (n,), the more the better.

    Returns:
        Shape (n,).

    Example:
        >>> undominated(np.array([[8.0], [9.0], [9.0]]), np.array([1e-3, 1e-2, 1e-3])).tolist()
        [True, True, False]
    """
    values = np.column_stack([costs, -gains])  # all of them the less the better
    places = np.flatnonzero(~np.isnan(values).any(axis=1))
    known, front = values[places], np.zeros(len(values), dtype=bool)
    for place, own in zip(places, known, strict=True):
        front[place] = not ((known <= own).all(axis=1) & (known < own).any(axis=1)).any()
    return front

"""The largest magnitude, against a loop in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from campaign.formats.magnitude import largest_magnitude


@pytest.mark.parametrize("shape", [(7,), (3, 4), (3, 4, 2, 2), (1, 1)])
def test_the_maximum_is_taken_over_the_tensor_or_over_each_row(shape: tuple[int, ...]) -> None:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    array = np.abs(values.numpy())
    assert float(largest_magnitude(values)) == float(array.max())
    by_row = largest_magnitude(values, by_row=True)
    rows = [float(row.max()) for row in array] if len(shape) > 1 else [float(array.max())]
    assert by_row.reshape(-1).tolist() == rows
    assert torch.broadcast_shapes(by_row.shape, shape) == shape


def test_negative_values_count_by_their_magnitude() -> None:
    assert float(largest_magnitude(torch.tensor([-3.0, 2.0]))) == 3.0
    inf, nan = float("inf"), float("nan")
    rows = torch.tensor([[-3.0, 2.0], [-0.0, -0.0], [0.0, -0.0], [-inf, 1.0], [nan, -1.0]])
    expected = np.abs(rows.numpy()).max(1)  # -0 too is 0
    assert largest_magnitude(rows, by_row=True).numpy().tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
@pytest.mark.parametrize("by_row", [False, True])
def test_no_values_have_the_maximum_zero(shape: tuple[int, ...], by_row: bool) -> None:
    assert largest_magnitude(torch.zeros(shape), by_row=by_row).tolist() == 0.0

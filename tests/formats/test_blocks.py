"""Blocks of a row, against slices in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from campaign.formats.blocks import block_members, blocks, broadcast_at, spread, spread_at

SHAPES = [(), (1,), (7,), (3, 4), (3, 5, 2, 2), (4, 1), (2, 64)]


def rows_of(shape: tuple[int, ...]) -> np.ndarray:
    """Distinct values, one row for each index of dimension 0."""
    values = np.arange(1, 1 + int(np.prod(shape)), dtype=np.float32)
    return values.reshape(shape[0] if len(shape) > 1 else 1, -1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 3, 4, 32])
def test_a_block_holds_consecutive_values_of_one_row_and_ends_with_its_last(
    shape: tuple[int, ...], size: int
) -> None:
    rows = rows_of(shape)
    cut = blocks(torch.from_numpy(rows.copy()).reshape(shape), size).numpy()
    for row, found in zip(rows, cut, strict=True):
        starts = range(0, row.size, size)
        assert len(found) == len(starts)
        for start, block in zip(starts, found, strict=True):
            held = row[start : start + size].tolist()
            assert block.tolist() == held + [held[-1]] * (size - len(held))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 3, 4, 32])
def test_every_value_gets_the_number_of_its_block(shape: tuple[int, ...], size: int) -> None:
    rows = rows_of(shape)
    count = -(-rows.shape[1] // size)
    numbers = torch.arange(rows.shape[0] * count).reshape(-1, count)
    found = spread(numbers, shape, size)
    assert found.shape == shape
    expected = [[row * count + i // size for i in range(rows.shape[1])] for row in range(len(rows))]
    assert found.reshape(rows.shape).tolist() == expected


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_no_values_have_no_blocks(shape: tuple[int, ...]) -> None:
    cut = blocks(torch.zeros(shape), 4)
    assert cut.numel() == 0
    assert spread(cut.sum(-1), shape, 4).shape == shape


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 3, 4, 32])
def test_some_values_get_the_numbers_that_all_of_them_get(
    shape: tuple[int, ...], size: int
) -> None:
    rows = rows_of(shape)
    per_block = torch.arange(len(rows) * -(-rows.shape[1] // size)).view(len(rows), -1)
    whole = spread(per_block, shape, size).reshape(-1)
    index = torch.randperm(whole.numel(), generator=torch.Generator().manual_seed(1))
    assert torch.equal(spread_at(per_block, shape, size, index), whole[index])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 3, 4, 32])
def test_the_members_of_a_block_are_those_that_get_its_number(
    shape: tuple[int, ...], size: int
) -> None:
    rows = rows_of(shape)
    per_block = np.arange(len(rows) * -(-rows.shape[1] // size)).reshape(len(rows), -1)
    numbers = spread(torch.from_numpy(per_block), shape, size).reshape(-1).numpy()
    for chosen in (per_block.reshape(-1)[::2], per_block.reshape(-1)[-1:], np.empty(0, int)):
        found = block_members(shape, size, chosen)
        assert found.tolist() == np.flatnonzero(np.isin(numbers, chosen)).tolist()


@pytest.mark.parametrize("constant", [(), (1, 1), (4, 1, 1), (3, 5), (4, 1, 5), (5,)])
def test_a_constant_at_some_places_is_that_of_the_broadcast_tensor(
    constant: tuple[int, ...],
) -> None:
    held = torch.randn(constant, generator=torch.Generator().manual_seed(2))
    index = torch.tensor([59, 0, 17, 17, 31])
    found = broadcast_at(held, (4, 3, 5), index).expand(5)
    assert torch.equal(found, held.expand(4, 3, 5).reshape(-1)[index])

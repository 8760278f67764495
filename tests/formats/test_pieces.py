"""Arithmetic by pieces is arithmetic on the whole, to the bit."""

from __future__ import annotations

import pytest
import torch

from campaign.formats.pieces import PIECE, by_pieces


def scaled(value: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return (value.double() / c).to(torch.float32)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a.view(torch.int32), b.view(torch.int32))


@pytest.mark.parametrize(
    "shape", [(3 * PIECE + 17,), (7, PIECE // 2 + 3), (300, 5, 9, 9), (PIECE,)]
)
@pytest.mark.parametrize("by_row", [False, True])
def test_the_result_is_that_of_the_whole(shape: tuple[int, ...], by_row: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(shape, generator=generator)
    rows = (shape[0], *(1,) * (len(shape) - 1)) if by_row and len(shape) > 1 else ()
    c = torch.rand(rows, generator=generator, dtype=torch.float64) + 0.5
    before = value.clone()
    assert same(by_pieces(value, c, scaled), scaled(value, c))
    assert same(value, before)


def test_a_constant_of_one_row_is_one_value() -> None:
    value = torch.randn(1, PIECE + 5, generator=torch.Generator().manual_seed(1))
    c = torch.full((1, 1), 3.0, dtype=torch.float64)
    assert same(by_pieces(value, c, scaled), scaled(value, c))


def test_a_transposed_tensor_and_a_gradient_are_taken_whole() -> None:
    value = torch.randn(500, 200, generator=torch.Generator().manual_seed(2))
    assert torch.equal(
        by_pieces(value.t(), torch.tensor(2.0), scaled), scaled(value.t(), torch.tensor(2.0))
    )
    learnt = value.clone().requires_grad_()
    by_pieces(learnt, torch.tensor(2.0), lambda x, c: x * c).sum().backward()
    assert learnt.grad is not None
    assert torch.equal(learnt.grad, torch.full_like(value, 2.0))

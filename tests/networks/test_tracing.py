"""A trace is the forward pass, or there is none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from campaign.networks.tracing import UntraceableError, traced


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x.flatten(1) if y is None else x.flatten(1) + y


class TwoOutputs(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1, x + 2


class Remembers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last: object = None
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        self.last = x * 2
        return x.flatten(1) + 1


class Constant(nn.Module):
    """Computes on its weights in a way that a trace would not see."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        largest = max(float(p.max()) for p in self.parameters())
        return self.line(x.flatten(1)) / largest


class PlainTensor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.ones(1)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean * 2).flatten(1)


@pytest.mark.parametrize("kind", [TwoInputs, TwoOutputs, Remembers, Constant, PlainTensor])
def test_what_is_more_than_a_list_of_calls_is_refused_and_left_as_it_was(
    kind: type[nn.Module],
) -> None:
    module = kind().eval()
    before = [dict(vars(part)) for part in module.modules()]
    with pytest.raises(UntraceableError):
        traced(module)
    for part, held in zip(module.modules(), before, strict=True):
        assert vars(part).keys() == held.keys()
        assert all(vars(part)[name] is value for name, value in held.items())


def test_control_flow_that_depends_on_data_is_refused() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if x.sum() > 0 else x + 1

    with pytest.raises(torch.fx.proxy.TraceError):
        traced(Branching())


class Residual(nn.Module):
    """A block of its own, whose functional weight is computed from a buffer and a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.register_buffer("mask", torch.ones(4, 4))
        self.line = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.line(x) + F.linear(x, self.weight * self.mask)


def test_a_piece_ends_where_one_value_goes_on_and_reads_live_tensors() -> None:
    torch.manual_seed(0)
    block, first = Residual(), nn.Linear(4, 4)
    module = nn.Sequential(first, block, nn.ReLU()).requires_grad_(False)
    pieces = traced(module)
    assert [len(piece.steps) for piece in pieces] == [1, 4, 1]
    assert [{id(t) for t in piece.reads()} for piece in pieces] == [
        {id(t) for t in first.parameters()},
        {id(t) for t in (*block.parameters(), block.mask)},
        set(),
    ]
    assert {step.path for step in pieces[1].steps} == {"1", "1.line"}
    x = torch.randn(3, 4)
    for changed in (block.mask, block.weight, first.bias):
        changed[..., 0] = 0.5
        value = x
        for piece in pieces:
            value = piece(value)
        assert torch.equal(value, module(x))


def test_one_more_piece_on_either_side_gives_the_same() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 4), Residual(), nn.ReLU()).requires_grad_(False)
    one, two, three = traced(module)
    x = torch.randn(3, 4)
    assert torch.equal(one.joined(two).joined(three)(x), module(x))

"""Trained bounds of activations, against loops over Python floats and finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from campaign.methods import METHODS
from campaign.methods.fitting import Batch, Context, Fitting
from campaign.methods.learnt_bounds import softly_cut
from campaign.networks.sites import Site, watched
from campaign.registry import OptionError

ACTIVATION = Site("activation", 1, "", "relu")
WEIGHTS = [[[0.9, -0.4], [0.3, 0.8]], [[0.5, 0.7], [-0.6, 1.1]], [[1.2, -0.3], [0.2, 0.6]]]
INPUTS = [[1.0, 0.5], [0.2, 1.4], [-0.7, 0.9]]
LABELS = [0, 1, 1]


def published(x: float, bound: float, k: float = 20.0) -> float:
    """max(0, x - x sigmoid(k (x - bound)))."""
    return max(0.0, x - x / (1 + math.exp(-k * (x - bound))))


def test_activations_are_cut_as_published() -> None:
    bounds = torch.tensor([0.0, 0.7, 3.0])
    values = torch.linspace(0, 5, 101)
    found = softly_cut(values[:, None].expand(101, 3), bounds, 20.0)
    for x, row in zip(values.tolist(), found.tolist(), strict=True):
        exact = [published(x, bound) for bound in bounds.tolist()]
        assert row == pytest.approx(exact, rel=2e-5, abs=1e-6)
    assert torch.equal(softly_cut(-values, bounds[1], 20.0), -softly_cut(values, bounds[1], 20.0))
    hard = torch.tensor([1e4, 3.4e38, math.inf, -math.inf, math.nan])
    assert softly_cut(hard, bounds[2], 20.0)[:4].tolist() == [0.0] * 4
    assert bool(softly_cut(hard, bounds[2], 20.0)[4].isnan())


class Counting(TorchDispatchMode):
    """Counts the values that arithmetic gives; choosing and converting are no arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ not in ("where", "_to_copy", "scalar_tensor", "detach"):
            self.values += given.numel()
        return given


@pytest.mark.parametrize("name", ["fitact", "proact", "diehardnet"])
def test_a_guard_takes_the_operations_that_it_declares(name: str) -> None:
    method, value, seen = METHODS.make(name), torch.rand(5, 7), {"1": torch.rand(7)}
    for site in (ACTIVATION, Site("layer", 1, "", "linear")):
        with Counting() as counting:
            method.guard(site, value, seen)
        assert counting.values == method.guard_operations(site, value.numel())


class Net(nn.Sequential):
    """Three layers of two neurons, a ReLU behind the first two."""

    def __init__(self) -> None:
        layers = [nn.Linear(2, 2, bias=False) for _ in WEIGHTS]
        for layer, weight in zip(layers, WEIGHTS, strict=True):
            layer.weight.data.copy_(torch.tensor(weight))
        super().__init__(layers[0], nn.ReLU(), layers[1], nn.ReLU(inplace=True), layers[2])


def entropy(logits: list[float], target: list[float]) -> float:
    largest = max(logits)
    total = math.log(math.fsum(math.exp(z - largest) for z in logits)) + largest
    return -math.fsum(t * (z - total) for z, t in zip(logits, target, strict=True))


def softmax(logits: list[float]) -> list[float]:
    return [math.exp(z) / math.fsum(map(math.exp, logits)) for z in logits]


def answered(x: list[float], bounds: list[list[float]] | None) -> tuple[list[float], list[Any]]:
    """Logits of one image and what passed the activations, by loops."""
    passed = []
    for place, weight in enumerate(WEIGHTS):
        x = [math.fsum(w * v for w, v in zip(row, x, strict=True)) for row in weight]
        if place < 2:
            x = [max(0.0, v) for v in x]
            passed.append(x)
            if bounds is not None:
                x = [published(v, b) for v, b in zip(x, bounds[place], strict=True)]
    return x, passed


def mean_square(values: list[float]) -> float:
    return math.fsum(v * v for v in values) / len(values)


def fitact_loss(bounds: list[list[float]], apart: bool) -> float:
    pairs = list(zip(INPUTS, LABELS, strict=True))
    losses = [entropy(answered(x, bounds)[0], [float(c == y) for c in (0, 1)]) for x, y in pairs]
    penalty = math.fsum(mean_square(each) for each in bounds)
    return math.fsum(losses) / len(losses) + 0.3 * penalty


def proact_loss(bounds: list[list[float]], place: int) -> float:
    losses = []
    for x, y in zip(INPUTS, LABELS, strict=True):
        logits = answered(x, bounds)[0]
        losses.append(entropy(logits, [float(c == y) for c in (0, 1)]))
        losses.append(entropy(logits, softmax(answered(x, None)[0])))
    return math.fsum(losses) / len(INPUTS) + 0.3 * mean_square(bounds[place])


def prepared(name: str, **options: Any) -> tuple[nn.Module, Fitting, Batch, Context]:
    module, batch = Net(), Batch(torch.tensor(INPUTS), torch.tensor(LABELS))
    fitting = METHODS.make(name, {"penalty": 0.3, **options}).fitting()

    def forward(module: nn.Module, inputs: Tensor) -> Tensor:
        with watched(module, fitting.guard):
            logits: Tensor = module(inputs)
        return logits

    context = Context(
        seed=0,
        fmt=None,
        device=torch.device("cpu"),
        steps=1,
        forward=forward,
        sample=lambda count: batch,
        generator=torch.Generator(),
        epochs=2,
    )
    fitting.prepare(module, context)
    return module, fitting, batch, context


def gradient(loss: Callable[[list[list[float]]], float], at: list[list[float]]) -> list[list[Any]]:
    """By central differences in float64."""
    found = [[0.0, 0.0], [0.0, 0.0]]
    for place in (0, 1):
        for neuron in (0, 1):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [[*row] for row in at]
                moved[place][neuron] += step
                ends.append(loss(moved))
            found[place][neuron] = (ends[0] - ends[1]) / 2e-5
    return found


def starts() -> list[list[float]]:
    """The largest value of each neuron over the images."""
    passed = [answered(x, None)[1] for x in INPUTS]
    return [[max(p[place][neuron] for p in passed) for neuron in (0, 1)] for place in (0, 1)]


def test_all_bounds_of_fitact_follow_the_gradient_of_its_loss() -> None:
    module, fitting, batch, context = prepared("fitact")
    bounds = list(fitting.trained_parameters(module) or [])
    assert [b.tolist() for b in bounds] == [pytest.approx(row) for row in starts()]
    loss = fitting.step(module, batch, nn.CrossEntropyLoss(), context)
    assert float(loss) == pytest.approx(fitact_loss(starts(), True), rel=1e-5)
    exact = gradient(lambda at: fitact_loss(at, True), starts())
    assert [b.grad.tolist() for b in bounds if b.grad is not None] == [
        pytest.approx(row, rel=1e-3, abs=1e-5) for row in exact
    ]

    module, fitting, batch, context = prepared("fitact", per="layer")
    bounds = list(fitting.trained_parameters(module) or [])
    assert [b.item() for b in bounds] == pytest.approx([max(row) for row in starts()])
    fitting.step(module, batch, nn.CrossEntropyLoss(), context)
    shared = [[max(row)] * 2 for row in starts()]
    exact = gradient(lambda at: fitact_loss(at, False), shared)
    found = [float(b.grad) for b in bounds if b.grad is not None]
    assert found == pytest.approx([sum(row) for row in exact], rel=1e-3, abs=1e-5)


def test_proact_trains_one_activation_after_the_other_from_the_last() -> None:
    module, fitting, batch, context = prepared("proact")
    first, last = fitting.trained_parameters(module) or []
    at = [[max(starts()[0])] * 2, starts()[1]]
    assert (first.item(), last.tolist()) == (pytest.approx(at[0][0]), pytest.approx(at[1]))
    for step, (trained, idle) in enumerate([(last, first), (first, last)]):
        context.step, trained.grad, idle.grad, place = step, None, None, 1 - step
        loss = fitting.step(module, batch, nn.CrossEntropyLoss(), context)
        assert float(loss) == pytest.approx(proact_loss(at, place), rel=1e-5)
        exact = gradient(lambda bounds, place=place: proact_loss(bounds, place), at)[place]
        expected = exact if place else [sum(exact)]
        assert trained.grad is not None
        assert trained.grad.view(-1).tolist() == pytest.approx(expected, rel=1e-3, abs=1e-5)
        assert idle.grad is None


def test_networks_and_stacks_that_do_not_fit_are_refused() -> None:
    for name, options in (("fitact", {"penalty": -1.0}), ("proact", {"largest_drop": 1.5})):
        with pytest.raises(OptionError):
            METHODS.make(name, options)
    fitting, (_, _, _, context) = METHODS.make("fitact").fitting(), prepared("fitact")
    with pytest.raises(ValueError, match="no activation whose bound"):
        fitting.prepare(nn.Sequential(nn.Linear(2, 2), nn.Sigmoid()), context)

    class Crossed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x.t()).t()

    with pytest.raises(ValueError, match=r"use fitact with per: layer"):
        METHODS.make("fitact").fitting().prepare(Crossed(), context)
    METHODS.make("fitact", {"per": "layer"}).fitting().prepare(Crossed(), context)

    fitact, saf = METHODS.make("fitact"), METHODS.make("trained_saf")
    line = "trains nothing but its bounds; leave one out"
    assert (fitact.misfit((saf,), ("weights",)) or "").endswith(f"fitact {line}")
    assert (saf.misfit((fitact,), ("weights",)) or "").endswith(f"fitact {line}")
    scaled = METHODS.make("weight_scaling", {"t": 2.0, "divide": "logits"})
    for name in ("fitact", "proact", "diehardnet"):
        reason = METHODS.make(name).misfit((scaled,), ("weights",))
        assert f"{name} bounds them as trained" in (reason or "")
    clipped = METHODS.make("weight_clipping")
    assert fitact.misfit((clipped, METHODS.make("nan_filter")), ("weights",)) is None

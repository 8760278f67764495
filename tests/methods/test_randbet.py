"""RandBET, against steps computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from campaign.faults import FAULTS, Stream
from campaign.methods import METHODS
from campaign.methods.randbet import ACTIVE
from campaign.methods.recalled import recalled, unexposed
from campaign.methods.stored_training import step_seed
from campaign.networks.raw import raw_parameters, raw_state
from campaign.registry import OptionError
from campaign.spec.axes import seed_axis
from campaign.trial.memory import Storage, choose, corrupt, read, write
from tests.methods.training_steps import (
    INT8,
    expected_gradients,
    make_batch,
    make_context,
    make_network,
)

CROSS_ENTROPY = nn.CrossEntropyLoss()
WEIGHTS, BIASES = ("0.weight", "4.weight"), ("0.bias", "4.bias")


def drawn(state: dict[str, Any], names: tuple[str, ...], p: float, seed: int) -> dict[str, Any]:
    """The flips of `bit_flip` for this seed, parameter by parameter."""
    fault = FAULTS.make("bit_flip")
    words = {name: INT8.encode(state[name], INT8.calibrate(state[name])) for name in names}
    return {n: fault.sample(w, p, Stream(seed, n, "payload", 8)) for n, w in words.items()}


def gradients(module: nn.Module) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in raw_parameters(module).items() if p.grad is not None}


@pytest.mark.parametrize(
    ("options", "names"),
    [({"p": 0.05}, WEIGHTS), ({"p": 0.05, "biases": True, "map_seed": 12}, WEIGHTS + BIASES)],
    ids=str,
)
def test_a_step_is_the_mean_of_the_gradients_with_and_without_faults(
    options: dict[str, Any], names: tuple[str, ...]
) -> None:
    clamp = 0.02
    method = METHODS.make("randbet", {"w_max": None, "clamp": clamp, **options})
    module, context, fitting = make_network(), make_context(), method.fitting()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    fitting.prepare(module, context)
    loss, clean = expected_gradients(state, dict.fromkeys(names))
    fixed = options.get("map_seed")
    faulty_losses = []
    for step in range(3):
        module.zero_grad()
        context.step = step
        told = fitting.step(module, make_batch(), CROSS_ENTROPY, context)
        assert float(told) == pytest.approx(loss, rel=1e-6)
        expected = clean
        if step:  # the first step does not know the loss yet
            flips = drawn(state, names, 0.05, step_seed(context) if fixed is None else fixed)
            assert sum(map(len, flips.values())) > 20
            under, faulty = expected_gradients(state, flips)
            faulty_losses.append(under)
            assert any(float(g.abs().max()) > clamp for g in faulty.values())
            clamped = {name: np.clip(g.numpy(), -clamp, clamp) for name, g in faulty.items()}
            expected = {n: (clean[n] + torch.from_numpy(clamped[n])) / 2 for n in clean}
        found = gradients(module)
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7)
    assert context.metrics["faulty_steps"] == 2
    assert context.metrics["faulty_loss"] == pytest.approx(sum(faulty_losses) / 2, rel=1e-6)
    assert (faulty_losses[0] == faulty_losses[1]) is (fixed is not None)
    assert int(module.state_dict()["1.num_batches_tracked"]) == 3  # none of them under faults


def test_a_fixed_map_is_that_of_the_trial_with_its_seed() -> None:
    method = METHODS.make("randbet", {"p": 0.05, "w_max": None, "map_seed": 12})
    module, context, fitting = make_network(), make_context(), method.fitting()
    storage = Storage(INT8, (METHODS.make("none"),))
    memory = [write(n, raw_parameters(module)[n].detach(), storage) for n in WEIGHTS]
    chosen = choose(memory, FAULTS.make("bit_flip"), storage, ber=0.05, seed=12)
    fitting.prepare(module, context)
    seen: dict[str, torch.Tensor] = {}

    def look(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        seen.update({"0.weight": network[0].weight, "4.weight": network[4].weight})  # type: ignore[index]
        logits: torch.Tensor = network(inputs)
        return logits

    context.forward = look
    context.memory[ACTIVE] = 1.0
    fitting.step(module, make_batch(), CROSS_ENTROPY, context)
    for held in memory:
        faulty = read(held, corrupt(held, chosen).fields, storage).weight
        assert torch.equal(seen[held.name], faulty)
        assert not torch.equal(faulty, held.clean)
    with torch.no_grad():  # and is gone once the step is done
        assert torch.equal(module[0].weight, memory[0].clean)  # type: ignore[index]


def test_faults_begin_and_pause_by_the_losses_of_the_step_before() -> None:
    """The last loss of a line is under faults where there are two."""
    lines = [
        ([1.2], False),  # beyond 1.15 times the threshold
        ([1.1], True),
        ([0.9, 1.0], True),  # a mean of 0.95
        ([0.9, 1.2], False),  # a mean of 1.05
        ([0.9], True),
        ([0.5, math.nan], False),
        ([0.5], True),
        ([1.2, 0.1], False),
    ]
    method = METHODS.make("randbet", {"p": 0.05, "w_max": None, "threshold": 1.0})
    module, context, fitting = make_network(), make_context(), method.fitting()
    fitting.prepare(module, context)
    for step, (losses, goes_on) in enumerate(lines):
        left = iter(losses)
        module.zero_grad()
        context.step = step

        def criterion(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return logits.sum() * 0.25 + (next(left) - logits.detach().sum() * 0.25)  # noqa: B023

        fitting.step(module, make_batch(), criterion, context)
        assert next(left, None) is None, "a pass was left out"
        assert context.memory == {ACTIVE: float(goes_on)}
        bias = raw_parameters(module)["4.bias"].grad
        assert bias is not None
        # 24 images times 0.25; clamped to 0.05 under faults, left out where the loss is no number
        halved = len(losses) == 2 and not math.isnan(losses[1])
        assert bias.tolist() == pytest.approx([(6 + 0.05) / 2 if halved else 6] * 3)
    assert context.metrics["faulty_steps"] == 3


def test_no_trial_can_have_the_faults_of_a_step() -> None:
    context = make_context()

    def seed(of: int, step: int) -> int:
        return step_seed(replace(context, seed=of, step=step))

    seeds = {seed(of, step) for of in range(20) for step in range(20)}
    assert len(seeds) == 400
    assert max(seeds) < 0
    for allowed in (0, 2**63 - 1):
        assert list(seed_axis([allowed])) == [allowed]
    with pytest.raises(ValueError, match="-1"):
        seed_axis([-1])
    with pytest.raises(OptionError, match="map_seed: got -1"):
        METHODS.make("randbet", {"map_seed": -1})


@pytest.mark.parametrize("exposed", [True, False])
def test_scales_of_norms_are_clipped_and_stored_as_differences_from_1(exposed: bool) -> None:
    options = {"p": 0.0, "w_max": 0.25, "biases": True, "norms": True}
    method = METHODS.make("randbet", options)
    module, context, fitting = make_network(), make_context("q2_5"), method.fitting()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    before["1.weight"] -= 1
    fitting.prepare(module, context)
    (warning,) = context.warnings
    held = raw_parameters(module)
    beyond = sum(int((before[name].abs() > 0.25).sum()) for name in held)
    share = beyond / sum(p.numel() for p in held.values())
    assert warning.startswith(f"randbet: training starts with {share:.3%} of all weights clipped")
    for name, parameter in held.items():
        assert torch.equal(parameter.detach(), before[name].clamp(-0.25, 0.25))
        parameter.data.mul_(3)
    fitting.after_step(module, context)
    assert max(float(p.detach().abs().max()) for p in held.values()) == 0.25

    learnt = (fitting.finish(module, context),)
    trained = {n: v for n, v in raw_state(module).items() if n in held}
    assert context.fmt is not None
    storage = Storage(context.fmt, (method,))
    for name, raw in trained.items():
        owner, _, leaf = name.rpartition(".")
        in_training = getattr(module.get_submodule(owner), leaf).detach()
        code = np.rint(raw.numpy() * 32) / 32
        assert in_training.tolist() == (code + (name == "1.weight")).tolist()
        if exposed:
            stored = write(name, raw, storage, learnt=learnt)
            assert torch.equal(stored.clean, in_training)
    changed = unexposed(trained, (method,), learnt, trained if exposed else ())
    expected = [] if exposed else ["1.weight"]
    assert list(changed) == expected
    assert all(torch.equal(changed[name], trained[name] + 1) for name in expected)
    (scale,) = recalled((method,), learnt, "1.weight")
    assert scale.operations(4, 8) == 4


def test_words_are_read_first_and_by_one_method_whatever_the_order() -> None:
    saf, randbet = METHODS.make("trained_saf"), METHODS.make("randbet", {"p": 0.0, "w_max": 0.2})
    for order in ((saf, randbet), (randbet, saf)):
        module, context = make_network(), make_context()
        raw = {n: raw_parameters(module)[n].detach().clamp(-0.2, 0.2) for n in WEIGHTS}
        for method in order:
            method.fitting().prepare(module, context)
        for place, name in ((0, "0.weight"), (4, "4.weight")):
            stored = INT8.decode(INT8.encode(raw[name], s := INT8.calibrate(raw[name])), s)
            assert torch.equal(module[place].weight, torch.tanh(stored.double()).float())  # type: ignore[index]
        assert order[1].misfit(order[:1], ("weights",)) is None
    quantized = METHODS.make("trained_saf", {"quantized": True})
    for first, second in ((quantized, randbet), (randbet, quantized)):
        reason = second.misfit((first,), ("weights",))
        assert reason is not None
        assert reason.startswith(f"{first.name} stands before it and trains weights as the number")
    aware = METHODS.make("fault_aware")
    assert "leave one out" in (aware.misfit((randbet,), ("weights",)) or "")

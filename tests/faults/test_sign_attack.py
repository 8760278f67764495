"""Sign flips of the weights that matter most, against plain loops."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from campaign.faults import FAULTS, FaultModel
from campaign.faults.subject import Flips
from campaign.methods import METHODS, Method
from campaign.trial.run import run_trial
from campaign.trial.setup import Network, Prepared
from tests.faults.attacked import attacked, plain, scaling, tiny


def model(**options: object) -> FaultModel:
    return FAULTS.make("sign_attack", options)


def weights_hit(prepared: Prepared, flips: Flips) -> set[tuple[str, int]]:
    """Parameters and flat indices whose sign bit flips."""
    width = prepared.setup.dtype.width
    for positions in flips.values():
        assert set((positions % width).tolist()) == {width - 1}
    return {(key.tensor, p // width) for key, held in flips.items() for p in held.tolist()}


def values(prepared: Prepared) -> dict[str, NDArray[np.float64]]:
    return {name: held.clean.double().numpy() for name, held in prepared.stored.items()}


def highest(scores: Mapping[str, NDArray[np.float64]], count: int) -> set[tuple[str, int]]:
    """The best weights by a sort of all of them, one of each kernel of a convolution."""
    ranked = sorted(
        (-score, place, index, name)
        for place, (name, held) in enumerate(scores.items())
        for index, score in enumerate(held.reshape(-1).tolist())
    )
    found, kernels = set[tuple[str, int]](), set[tuple[str, int]]()
    for _, _, index, name in ranked:
        taps = int(np.prod(scores[name].shape[2:])) if scores[name].ndim > 2 else 1
        if (name, index // taps) not in kernels and len(found) < count:
            kernels.add((name, index // taps))
            found.add((name, index))
    return found


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp8_e4m3fn", "int8", "q2_5", "mxfp4"])
@pytest.mark.parametrize("count", [1, 7, 100])
def test_without_a_pass_the_largest_weights_are_hit(dtype: str, count: int) -> None:
    prepared = attacked(dtype, split=False)
    scores = {name: np.abs(held) for name, held in values(prepared).items()}
    found = model(count=count).attack(prepared.subject, 1e-3, 0)
    assert weights_hit(prepared, found) == highest(scores, count)


def test_with_a_pass_the_published_score_decides() -> None:
    prepared = attacked("fp32", over=tiny())
    module, split = prepared.network.module, prepared.subject.split
    live = {name: held.clean.clone().requires_grad_() for name, held in prepared.stored.items()}
    logits = torch.func.functional_call(module, live, split.pixels)
    loss = torch.nn.functional.cross_entropy(logits, split.labels)
    slopes = torch.autograd.grad(loss, list(live.values()))
    scores = {}
    for (name, weight), slope in zip(values(prepared).items(), slopes, strict=True):
        gradient = slope.double().numpy()
        first, second = weight * gradient, 0.5 * weight**2 * gradient**2
        scores[name] = np.abs(weight) + np.abs(first + second)
    changed = 0
    for count in range(1, 30):
        found = model(count=count, passes=1).attack(prepared.subject, 1e-3, 0)
        assert weights_hit(prepared, found) == highest(scores, count)
        without = model(count=count).attack(prepared.subject, 1e-3, 0)
        changed += weights_hit(prepared, found) != weights_hit(prepared, without)
    assert changed > 0


def test_a_kernel_is_hit_more_than_once_only_where_it_may() -> None:
    prepared = attacked("fp32")
    once = weights_hit(prepared, model(count=500).attack(prepared.subject, 1e-3, 0))
    often = weights_hit(
        prepared, model(count=500, one_per_kernel=False).attack(prepared.subject, 1e-3, 0)
    )
    every = np.concatenate([np.abs(v).reshape(-1) for v in values(prepared).values()])
    hit = [abs(values(prepared)[name].reshape(-1)[index]) for name, index in often]
    assert sorted(hit) == sorted(np.sort(every)[-500:])
    kernels = [(name, index // 9) for name, index in once if name.startswith("conv")]
    assert len(set(kernels)) == len(kernels)


def test_only_the_first_layers_are_hit() -> None:
    prepared = attacked("fp32", kinds=("weights", "biases"))
    for layers, names in [(1, {"conv1"}), (2, {"conv1", "conv2"})]:
        found = model(count=16, layers=layers).attack(prepared.subject, 1e-3, 0)
        assert {key.tensor.rpartition(".")[0] for key in found} <= names
    with pytest.raises(ValueError, match="33 flips do not fit into 32 exposed sign bits"):
        model(count=33, layers=1).attack(prepared.subject, 1e-3, 0)


def test_equal_weights_are_hit_in_their_order() -> None:
    over = tiny()
    for held in over.trained.values():
        held.fill_(0.5)
    prepared = attacked("fp32", over=over)
    found = weights_hit(prepared, model(count=14).attack(prepared.subject, 1e-3, 0))
    assert found == {*(("2.weight", i) for i in range(12)), ("4.weight", 0), ("4.weight", 1)}


def test_a_float_weight_that_is_hit_is_negated() -> None:
    prepared = attacked("fp32")
    found = model(count=5).attack(prepared.subject, 1e-3, 0)
    read = prepared.subject.weights(found)
    for name, index in weights_hit(prepared, found):
        assert float(read[name].view(-1)[index]) == -float(
            prepared.stored[name].clean.view(-1)[index]
        )


def test_a_format_without_a_sign_bit_is_refused() -> None:
    prepared = attacked("int8", scheme="robust", storage="unsigned")
    with pytest.raises(ValueError, match="no bit of a word is its sign; there are msb, integer"):
        model(count=1).attack(prepared.subject, 1e-3, 0)


@pytest.mark.parametrize("passes", [0, 1])
def test_weight_scaling_does_not_change_what_sign_flips_do(passes: int) -> None:
    """REFERENCE A1.1: -c w / c = -w."""
    bare, scaled = attacked("fp32"), attacked("fp32", scaling(2.0**127))
    hit = [model(count=9, passes=passes).attack(p.subject, 1e-3, 0) for p in (bare, scaled)]
    assert weights_hit(bare, hit[0]) == weights_hit(scaled, hit[1])
    logits = [p.subject.logits(h) for p, h in zip((bare, scaled), hit, strict=True)]
    assert torch.equal(logits[0].view(torch.int32), logits[1].view(torch.int32))
    assert not torch.equal(logits[0], bare.subject.logits({}))


@pytest.mark.parametrize("passes", [0, 1])
def test_it_does_not_matter_where_weight_scaling_divides(passes: int) -> None:
    def hit(*stack: Method) -> set[tuple[str, int]]:
        prepared = attacked("fp32", *stack)
        fault = model(count=40, passes=passes)
        return weights_hit(prepared, fault.attack(prepared.subject, 1e-3, 0))

    for divide in ("layer", "logits"):
        options = {"t": 2.0, "power_of_two": True, "divide": divide}
        assert hit(METHODS.make("weight_scaling", options)) == hit()


def normalised() -> Network:
    """Two layers of unequal size, the first before a BatchNorm."""
    torch.manual_seed(5)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 10),
    )
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    return Network.load(module, state, torch.device("cpu"))


def test_nor_that_a_batchnorm_takes_the_constants_in() -> None:
    hit = []
    for divide in ("layer", "batchnorm"):
        options = {"t": 2.0, "divide": divide}
        prepared = attacked("fp32", METHODS.make("weight_scaling", options), over=normalised())
        found = model(count=30, one_per_kernel=False).attack(prepared.subject, 1e-3, 0)
        hit.append(weights_hit(prepared, found))
    assert hit[0] == hit[1]


def test_copies_of_the_sign_undo_the_attack() -> None:
    prepared = attacked("fp32", METHODS.make("selective", {"bits": "sign"}), fault=model(count=50))
    outcome = run_trial(prepared, plain())
    assert (outcome.flipped_bits, outcome.corrected) == (50, 50)
    assert outcome.counts == prepared.counts


@pytest.mark.parametrize("passes", [0, 1])
def test_a_few_signs_of_large_weights_hurt_more_than_random_signs(passes: int) -> None:
    def accuracy(fault: FaultModel, seed: int) -> float:
        prepared = attacked("fp32", fault=fault, only=("sign",))
        return run_trial(prepared, plain(seed)).counts.n_correct / 500

    sought = accuracy(model(count=20, passes=passes), 0)
    drawn = [accuracy(FAULTS.make("exact_flips", {"count": 20}), seed) for seed in range(10)]
    assert sought < min(drawn) - 0.1

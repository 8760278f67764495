"""The progressive bit search, against searches by plain loops."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch

from campaign.bits import flip
from campaign.faults import FAULTS, FieldKey
from campaign.faults.subject import Flips
from campaign.methods import METHODS
from campaign.trial.run import run_trial
from campaign.trial.setup import Prepared
from tests.faults.attacked import attacked, plain, scaling, tiny

EVERY = 10_000
Bit = tuple[str, int]


def attack(prepared: Prepared, seed: int = 0, **options: int) -> Flips:
    return FAULTS.make("bit_flip_attack", options).attack(prepared.subject, 1e-3, seed)


def bits(flips: Flips) -> set[Bit]:
    return {(key.tensor, position) for key, held in flips.items() for position in held.tolist()}


def single(name: str, position: int) -> Flips:
    return {FieldKey(name, "payload"): np.array([position])}


def every_bit(prepared: Prepared) -> list[Bit]:
    return [
        (name, position)
        for name, stored in prepared.stored.items()
        for position in range(stored.fields["payload"].bits)
    ]


def decoded(prepared: Prepared, name: str, flipped: list[int]) -> torch.Tensor:
    """The weight by the number format alone."""
    stored, dtype = prepared.stored[name], prepared.setup.dtype
    words = flip(stored.fields["payload"], torch.tensor(flipped, dtype=torch.int64))
    scale = stored.fields["scale"].data if "scale" in stored.fields else stored.scale
    return dtype.decode(words, scale)


def plain_loss(prepared: Prepared, changed: dict[str, torch.Tensor]) -> torch.Tensor:
    """Cross entropy over the split by torch alone, in float64; infinity where it is not finite."""
    module, split = prepared.network.module, prepared.subject.split
    weights = {**{n: s.clean for n, s in prepared.stored.items()}, **changed}
    logits = torch.func.functional_call(module, weights, split.pixels)
    if not bool(logits.isfinite().all()):
        return torch.tensor(torch.inf, dtype=torch.float64)
    return torch.nn.functional.cross_entropy(logits.double(), split.labels)


@pytest.mark.parametrize("dtype", ["int4", "q1_2", "mxfp4", "fp8_e5m2", "fp16"])
def test_with_every_candidate_the_first_bit_is_that_of_an_exhaustive_search(dtype: str) -> None:
    prepared = attacked(dtype, over=tiny())
    losses = {
        (name, position): float(
            plain_loss(prepared, {name: decoded(prepared, name, [position])}).detach()
        )
        for name, position in every_bit(prepared)
    }
    ((name, position),) = bits(attack(prepared, count=1, candidates=EVERY))
    highest = max(losses.values())
    assert losses[name, position] == pytest.approx(highest, rel=1e-6)


def gains(prepared: Prepared, name: str, taken: list[int]) -> Iterator[tuple[float, int]]:
    """First-order gains of a layer, bit by bit, by autograd and numpy."""
    held = {n: s.clean.clone() for n, s in prepared.stored.items()}
    held[name] = decoded(prepared, name, taken).clone()
    live = held[name].requires_grad_()
    (gradient,) = torch.autograd.grad(plain_loss(prepared, {name: live}), [live])
    now, slope = live.detach().double().numpy().reshape(-1), gradient.double().numpy().reshape(-1)
    width = prepared.setup.dtype.width
    for position in range(now.size * width):
        if position not in taken:
            then = decoded(prepared, name, [*taken, position]).double().numpy().reshape(-1)
            word = position // width
            yield slope[word] * (then[word] - now[word]), position


@pytest.mark.parametrize("dtype", ["int4", "q1_2", "mxfp4", "int8"])
def test_each_step_takes_the_worst_of_the_highest_gains_of_the_layers(dtype: str) -> None:
    prepared = attacked(dtype, over=tiny())
    first = {name: max(gains(prepared, name, []))[1] for name in prepared.stored}
    losses = {
        (name, bit): float(plain_loss(prepared, {name: decoded(prepared, name, [bit])}).detach())
        for name, bit in first.items()
    }
    assert bits(attack(prepared, count=1)) == {max(losses, key=lambda bit: losses[bit])}


def test_gains_of_the_second_step_are_those_of_the_network_with_the_first_flip() -> None:
    prepared = attacked("int8", over=tiny())
    ((name, first),) = bits(attack(prepared, count=1))
    other = next(n for n in prepared.stored if n != name)
    second = bits(attack(prepared, count=2)) - {(name, first)}
    own = max(gains(prepared, name, [first]))[1]
    clean = prepared.stored[name].clean
    struck = decoded(prepared, name, [first])
    object.__setattr__(prepared.stored[name], "clean", struck)
    best_other = max(gains(prepared, other, []))[1]
    object.__setattr__(prepared.stored[name], "clean", clean)
    assert second <= {(name, own), (other, best_other)}
    assert len(second) == 1


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp8_e4m3fn", "int8", "q2_5", "mxint8"])
@pytest.mark.parametrize("method", ["none", "weight_scaling", "saf", "range_clamp"])
def test_a_swing_is_the_change_of_the_weight_read_with_this_bit_alone(dtype, method) -> None:
    if method == "weight_scaling" and dtype == "int8":
        pytest.skip("int8 fits a scale of its own")
    options = {"weight_scaling": {"t": 1.5}, "saf": {"store": "raw"}}.get(method, {})
    prepared = attacked(dtype, METHODS.make(method, options), over=tiny())
    held, name = prepared.subject, "2.weight"
    now, width = prepared.stored[name].clean.double().view(-1), prepared.setup.dtype.width
    for bit in range(width):
        swing = held.swing(name, bit, {}).view(-1)
        for word in range(now.numel()):
            read = held.weights(single(name, word * width + bit))[name].double().view(-1)[word]
            expected = read - now[word] if bool(read.isfinite()) else torch.tensor(torch.inf)
            assert float(swing[word]) == float(expected)


def test_a_weight_that_is_infinite_already_swings_no_more() -> None:
    prepared = attacked("fp16", over=tiny())
    name = "2.weight"
    word = int(prepared.stored[name].clean.abs().view(-1).argmax())
    broken = single(name, word * 16 + 14)  # 1.5 with its exponent full
    assert not bool(prepared.subject.weights(broken)[name].view(-1)[word].isfinite())
    assert float(prepared.subject.swing(name, 14, {}).view(-1)[word]) == np.inf
    assert float(prepared.subject.swing(name, 3, broken).view(-1)[word]) == 0.0


def test_swings_do_not_see_codes() -> None:
    coded = attacked("int8", METHODS.make("secded"), over=tiny()).subject
    bare = attacked("int8", over=tiny()).subject
    for bit in range(8):
        assert torch.equal(coded.swing("2.weight", bit, {}), bare.swing("2.weight", bit, {}))


def test_a_flip_that_a_code_repairs_does_no_harm() -> None:
    fault = FAULTS.make("bit_flip_attack", {"count": 1})
    prepared = attacked("int8", METHODS.make("secded"), fault=fault)
    outcome = run_trial(prepared, plain())
    assert (outcome.flipped_bits, outcome.corrected) == (1, 1)
    assert outcome.counts == prepared.counts


def test_fewer_flips_are_the_first_of_more() -> None:
    prepared = attacked("int8")
    sets = [bits(attack(prepared, count=count)) for count in (1, 2, 4, 6)]
    assert all(fewer < more for fewer, more in pairwise(sets))


def test_every_bit_of_a_memory_can_be_flipped() -> None:
    prepared = attacked("int4", over=tiny(), only=("msb",))
    assert len(bits(attack(prepared, count=42))) == 42
    with pytest.raises(ValueError, match="43 flips do not fit into 42 exposed payload bits"):
        attack(prepared, count=43)


def test_the_seed_draws_the_images_and_nothing_else() -> None:
    subject = attacked("int8").subject
    few = [subject.sampled(30, seed) for seed in (1, 1, 2)]
    assert [part.n_images for part in few] == [30, 30, 30]
    assert torch.equal(few[0].split.pixels, few[1].split.pixels)
    assert not torch.equal(few[0].split.pixels, few[2].split.pixels)
    assert subject.sampled(1000, 3).n_images == subject.n_images == 100
    prepared = attacked("int8")
    assert bits(attack(prepared, 1, count=2)) == bits(attack(prepared, 2, count=2))


def test_a_few_sought_flips_hurt_far_more_than_as_many_random_ones() -> None:
    def accuracy(name: str, seed: int) -> float:
        prepared = attacked("int8", fault=FAULTS.make(name, {"count": 30}))
        return run_trial(prepared, plain(seed)).counts.n_correct / 500

    assert accuracy("bit_flip_attack", 0) < 0.3
    assert min(accuracy("exact_flips", seed) for seed in range(10)) > 0.9


def test_scaling_to_the_top_of_the_format_is_attacked_too() -> None:
    fault = FAULTS.make("bit_flip_attack", {"count": 3})
    outcome = run_trial(attacked("fp32", scaling(1.5), fault=fault), plain())
    assert outcome.flipped_bits == 3


def test_it_does_not_matter_where_weight_scaling_divides() -> None:
    """A gradient by c w times a change of c w is that by w times that of w."""
    found = []
    for divide in ("layer", "logits"):
        options = {"t": 2.0, "power_of_two": True, "divide": divide}
        prepared = attacked("bf16", METHODS.make("weight_scaling", options))
        flips = FAULTS.make("bit_flip_attack", {"count": 3}).attack(prepared.subject, 1e-3, 0)
        found.append({key: held.tolist() for key, held in flips.items()})
    assert found[0] == found[1]

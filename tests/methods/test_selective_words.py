"""Copies of the most important words, with the choice made again by numpy and plain autograd."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from campaign.bits import Words, flip, mask_to_width
from campaign.faults import FAULTS, FieldKey
from campaign.formats import FORMATS
from campaign.methods import METHODS, Method
from campaign.methods.selective_words import ChosenWords
from campaign.trial.memory import Storage, choose, corrupt, exposed_bits, read, write
from campaign.trial.run import run_trial
from campaign.trial.setup import Network, Prepared
from tests.faults.attacked import attacked, images, network, plain


def made(**options: object) -> Method:
    return METHODS.make("selective_words", options)


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_words(width: int, count: int) -> Words:
    generator = torch.Generator().manual_seed(0)
    return mask_to_width(torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator), width)


def index_of(method: Method) -> list[int]:
    assert isinstance(method, ChosenWords)
    return [int(each) for each in method.index]


def best(score: np.ndarray, share: str) -> list[int]:
    """The first of the highest, by a stable sort."""
    count = math.ceil(Fraction(share) * score.size)
    return sorted(np.argsort(-score.reshape(-1), kind="stable")[:count].tolist())


@pytest.mark.parametrize("share", ["0.01", "0.07", "0.5", "1.0"])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("by", ["magnitude", "gradient"])
def test_the_highest_are_chosen_and_of_equal_ones_the_first(
    by: str, ties: bool, share: str
) -> None:
    method = made(by=by, share=float(share))
    for weight in (gaussian(20, 5, 3), gaussian(20, 50).t(), gaussian(7), torch.zeros(3, 4)):
        slope = gaussian(*weight.shape, seed=1)
        value, slope = (weight.round(), slope.round()) if ties else (weight, slope)
        score = np.abs(value.numpy().astype(np.float64))
        if by == "gradient":
            score = score * np.abs(slope.numpy().astype(np.float64))
        assert index_of(method.choose(value, slope)) == best(score, share)


@pytest.mark.parametrize(
    ("share", "count", "expected"),
    [(0.07, 100, 7), (0.01, 100, 1), (0.01, 101, 2), (1e-5, 7, 1), (0.29, 100, 29), (1, 9, 9)],
)
def test_the_share_counts_as_it_is_written(share: float, count: int, expected: int) -> None:
    method = made(share=share)
    assert len(index_of(method.choose(gaussian(count), None))) == expected
    assert method.check_bits(count, 8) == 2 * 8 * expected
    assert method.check_bits(0, 8) == 0


def test_a_gradient_that_is_not_finite_counts_as_0() -> None:
    slope = torch.tensor([math.nan, 1e-3, math.inf, -math.inf])
    chosen = made(by="gradient", share=0.5).choose(torch.ones(4), slope)
    assert index_of(chosen) == [0, 1]


@pytest.mark.parametrize("copies", [3, 5])
@pytest.mark.parametrize("width", [4, 8, 12, 32, 64])
def test_flips_of_chosen_words_are_undone_and_no_others(width: int, copies: int) -> None:
    words, weight = random_words(width, 40), gaussian(40)
    method = made(share=0.25, copies=copies).choose(weight, None)
    payload, check = method.encode(words)
    assert check is not None
    assert torch.equal(payload.data, words.data)
    assert (check.width, check.data.shape) == (width, (copies - 1, 10))
    chosen = torch.zeros(40, dtype=torch.bool)
    chosen[index_of(method)] = True
    for bit in range(width):
        wrong = flip(words, torch.arange(40) * width + bit)
        found = method.decode(wrong, check)
        assert torch.equal(found.words.data, torch.where(chosen, words.data, wrong.data))
        assert (found.corrected, found.detected) == (10, 0)
    for bit in range(check.bits):
        found = method.decode(words, flip(check, torch.tensor([bit])))
        assert torch.equal(found.words.data, words.data)
        assert (found.corrected, found.detected) == (0, 0)


def test_a_majority_of_wrong_copies_wins() -> None:
    words = random_words(8, 10)
    method = made(share=0.2).choose(gaussian(10), None)
    _, check = method.encode(words)
    assert check is not None
    first = index_of(method)[0]
    found = method.decode(words, flip(check, torch.tensor([3, 2 * 8 + 3])))
    expected = flip(words, torch.tensor([first * 8 + 3]))
    assert torch.equal(found.words.data, expected.data)
    assert (found.corrected, found.detected) == (1, 0)


@pytest.mark.parametrize("copies", [3, 7])
def test_all_words_are_those_of_full_redundancy(copies: int) -> None:
    words, noise = random_words(32, 50), random_words(32, 50 * copies).data.view(copies, 50)
    every = made(share=1.0, copies=copies).choose(gaussian(50), None)
    full = METHODS.make("nmr", {"copies": copies})
    assert every.operations(50, 32) == full.operations(50, 32)
    _, check = every.encode(words)
    _, expected = full.encode(words)
    assert check is not None
    assert expected is not None
    assert torch.equal(check.data, expected.data)
    struck = Words(noise[0], 32), Words(noise[1:], 32)
    one, other = every.decode(*struck), full.decode(*struck)
    assert torch.equal(one.words.data, other.words.data)
    assert one.corrected == other.corrected


def test_words_that_were_not_chosen_cannot_be_stored() -> None:
    words = random_words(8, 4)
    with pytest.raises(TypeError, match="choose them first"):
        made().encode(words)
    with pytest.raises(TypeError, match="choose them first"):
        made().decode(words, None)
    with pytest.raises(TypeError, match="needs the gradient"):
        made(by="gradient").choose(torch.ones(3), None)


def test_copies_are_faultable_and_the_choice_is_a_constant() -> None:
    storage = Storage(FORMATS.make("fp16"), (made(share=0.1, copies=5),))
    stored = write("w", gaussian(10, 15), storage)
    assert (stored.stored_bits, stored.check_bits) == (150 * 16, 4 * 15 * 16)
    assert exposed_bits(stored, storage) == 150 * 16 + 4 * 15 * 16
    assert stored.constant_bits == 15 * 32


def test_weights_count_as_trained_before_other_methods_change_them() -> None:
    weight = 0.1 * gaussian(300)
    alone = write("w", weight, Storage(FORMATS.make("fp32"), (made(share=0.1),)))
    for first in (METHODS.make("saf"), METHODS.make("range_clamp", {"percentile": 50.0})):
        held = write("w", weight, Storage(FORMATS.make("int8"), (first, made(share=0.1))))
        assert index_of(held.stack[1]) == index_of(alone.stack[0])
    assert index_of(alone.stack[0]) == best(weight.abs().numpy(), "0.1")


def test_wrong_bits_are_as_many_as_the_closed_forms_say() -> None:
    """In chosen words 3p^2 - 2p^3, in the others p."""
    ber, count = 1e-2, 100_000
    storage = Storage(FORMATS.make("fp32"), (made(share=0.5),))
    stored = write("w", gaussian(count), storage)
    faults = corrupt(stored, choose([stored], FAULTS.make("bit_flip"), storage, ber=ber, seed=1))
    weight = read(stored, faults.fields, storage).weight
    wrong = (weight.view(torch.int32) ^ stored.clean.view(torch.int32)).numpy().view(np.uint8)
    bits = np.unpackbits(wrong).reshape(count, 32).sum(1)
    chosen = np.zeros(count, dtype=np.bool_)
    chosen[index_of(stored.stack[0])] = True
    for where, rate in ((chosen, 3 * ber**2 - 2 * ber**3), (~chosen, ber)):
        expected = 32 * int(where.sum()) * rate
        assert abs(int(bits[where].sum()) - expected) < 6 * math.sqrt(expected)


def trained_score(over: Network) -> dict[str, np.ndarray]:
    """|w g| of the trained digits network over the profile split, by autograd alone."""
    live = {name: value.clone().requires_grad_() for name, value in over.trained.items()}
    split = images(0, 100)
    logits = torch.func.functional_call(over.module, live, split.pixels)
    loss = torch.nn.functional.cross_entropy(logits.double(), split.labels)
    slopes = torch.autograd.grad(loss, list(live.values()))
    return {
        name: (value.detach().double() * slope.double()).abs().numpy()
        for (name, value), slope in zip(live.items(), slopes, strict=True)
    }


def chosen_in(prepared: Prepared) -> dict[str, list[int]]:
    return {name: index_of(stored.stack[-1]) for name, stored in prepared.stored.items()}


def test_gradients_are_those_of_the_trained_network_on_the_profile_split() -> None:
    over, method = network(), made(by="gradient", share=0.02)
    score = trained_score(over)
    first = chosen_in(attacked("fp32", method, over=over))
    assert first == {name: best(score[name], "0.02") for name in first}
    assert len({tuple(index) for index in first.values()}) == len(first) > 2
    attacked("int4", over=over)  # leaves other weights in the live network
    assert chosen_in(attacked("int4", METHODS.make("saf"), method, over=over)) == first


def test_a_choice_by_gradient_leaves_the_network_as_read() -> None:
    over = network()
    prepared = attacked("int8", made(by="gradient"), over=over)
    for name, value in over.module.named_parameters():
        stored = prepared.stored.get(name)
        assert torch.equal(value, over.trained[name] if stored is None else stored.clean)
        assert not value.requires_grad
    assert prepared.counts == attacked("int8").counts


def test_a_choice_by_gradient_asks_for_a_profile_split_and_one_by_magnitude_does_not() -> None:
    prepared = attacked("int8", made(), split=False)
    assert prepared.setup.needs_profile is None
    assert attacked("int8", made(by="gradient")).setup.needs_profile == "selective_words"
    with pytest.raises(ValueError, match="selective_words learns from a profile split"):
        attacked("int8", made(by="gradient"), split=False)


def test_an_attack_ranks_bits_as_if_no_word_were_protected() -> None:
    bare = attacked("int8").subject
    protected = attacked("int8", made(share=1.0)).subject
    flips = {FieldKey("conv1.weight", "payload"): np.array([7, 15])}
    for bit in (0, 7):
        one = protected.swing("conv2.weight", bit, {})
        assert torch.equal(one, bare.swing("conv2.weight", bit, {}))
    clean = protected.weights({})["conv1.weight"]
    assert torch.equal(protected.weights(flips)["conv1.weight"], clean)
    assert int((bare.weights(flips)["conv1.weight"] != clean).sum()) == 2


def accuracy(fault: str, method: Method | None, seed: int = 0, **options: int) -> float:
    stack = () if method is None else (method,)
    prepared = attacked("int8", *stack, fault=FAULTS.make(fault, options))
    return run_trial(prepared, plain(seed)).counts.n_correct / 500


@pytest.mark.parametrize("by", ["magnitude", "gradient"])
def test_one_percent_takes_much_of_the_harm_of_flipped_signs(by: str) -> None:
    clean = attacked("int8").counts.n_correct / 500
    bare = accuracy("sign_attack", None, count=30)
    protected = accuracy("sign_attack", made(share=0.01, by=by), count=30)
    assert clean - protected < 0.6 * (clean - bare)


@pytest.mark.slow
def test_protected_by_gradient_the_bit_flip_attack_does_less_harm() -> None:
    """5 %: with 1 % this small network still has as harmful bits elsewhere."""

    def mean(method: Method | None) -> float:
        found = [
            accuracy("bit_flip_attack", method, seed, count=10, images=32) for seed in range(4)
        ]
        return sum(found) / len(found)

    assert mean(made(share=0.05, by="gradient")) > mean(None) + 0.02

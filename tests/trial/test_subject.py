"""What protections and attacks see of a network, against plain PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from campaign.faults import FieldKey
from campaign.trial.setup import prepare
from campaign.trial.subject import StoredSubject

SIGN = {FieldKey("conv1.weight", "payload"): np.array([31, 63])}


@pytest.fixture
def subject(make_setup, network, digits) -> StoredSubject:
    prepared = prepare(make_setup("fp32"), network, digits)
    return StoredSubject(prepared.forward, prepared.stored, prepared.storage, digits)


def plain_loss(subject: StoredSubject, signs: int) -> tuple[float, torch.Tensor]:
    """Loss and gradient of conv1 with its first `signs` weights negated, by autograd alone."""
    weights = {n: p.detach().clone() for n, p in subject.module.named_parameters()}
    weights["conv1.weight"].view(-1)[:signs] *= -1
    weights["conv1.weight"].requires_grad_()
    logits = torch.func.functional_call(subject.module, weights, subject.split.pixels)
    loss = torch.nn.functional.cross_entropy(logits, subject.split.labels)
    (gradient,) = torch.autograd.grad(loss, [weights["conv1.weight"]])
    return float(loss.detach()), gradient


@pytest.mark.parametrize(("flips", "signs"), [({}, 0), (SIGN, 2)])
def test_loss_and_gradients_are_those_of_autograd(subject, flips, signs: int) -> None:
    loss, gradient = plain_loss(subject, signs)
    assert subject.loss(flips) == pytest.approx(loss, rel=1e-5)
    found = subject.gradients(flips)
    assert list(found) == list(subject.stored)
    torch.testing.assert_close(found["conv1.weight"], gradient, rtol=1e-4, atol=1e-6)


def test_nothing_that_is_asked_changes_the_network(subject) -> None:
    before = {n: p.clone() for n, p in subject.module.named_parameters()}
    subject.loss(SIGN), subject.gradients(SIGN), subject.correct(SIGN), subject.weights(SIGN)
    for name, parameter in subject.module.named_parameters():
        assert torch.equal(parameter, before[name])
        assert not parameter.requires_grad


def test_weights_are_read_with_the_flips(subject) -> None:
    clean, flipped = subject.weights({}), subject.weights(SIGN)
    differ = (clean["conv1.weight"] != flipped["conv1.weight"]).view(-1).nonzero().view(-1)
    assert differ.tolist() == [0, 1]
    assert torch.equal(clean["linear.weight"], flipped["linear.weight"])


def test_a_guard_of_the_asker_is_made_only_for_this_question(subject) -> None:
    right = subject.correct({})
    assert right > 0.9 * subject.n_images
    assert subject.correct({}, lambda site, value: torch.zeros_like(value)) < 0.2 * subject.n_images
    assert subject.correct({}) == right


def test_without_a_split_there_are_weights_but_no_images(make_setup, network, digits) -> None:
    subject = prepare(make_setup("fp32"), network, digits).subject
    assert subject.n_images == 0
    clean, flipped = subject.weights({})["conv1.weight"], subject.weights(SIGN)["conv1.weight"]
    assert (clean != flipped).sum() == 2


def test_drawn_flips_are_independent_of_those_of_a_trial(subject) -> None:
    from campaign.faults.bitflip import BitFlip
    from campaign.trial.memory import choose

    own = subject.draw(1e-3, 5)
    trial = choose(subject.stored.values(), BitFlip(), subject.storage, ber=1e-3, seed=5)
    key = FieldKey("linear.weight", "payload")
    assert set(own[key]) != set(trial[key])
    bits = subject.memory[key].bits
    assert abs(own[key].size - 1e-3 * bits) < 6 * (1e-3 * bits) ** 0.5

"""What holds for every fault model that looks at the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from campaign.bits import Words
from campaign.faults import FaultModel, Stream
from campaign.faults.subject import Flips
from campaign.trial.run import run_trial
from campaign.trial.subject import StoredSubject
from tests.faults.attacked import attacked, plain

DTYPES = ["fp32", "bf16", "fp8_e4m3fn", "int8", "q2_5", "mxfp6_e3m2", "mxint8"]


def lists(flips: Flips) -> dict[object, list[int]]:
    return {key: positions.tolist() for key, positions in flips.items()}


@pytest.fixture(scope="module", params=DTYPES)
def subject(request) -> StoredSubject:
    return attacked(request.param).subject


def test_as_many_distinct_bits_flip_as_asked(attack: FaultModel, subject: StoredSubject) -> None:
    found = attack.attack(subject, 1e-3, 1)
    assert sum(positions.size for positions in found.values()) == attack.count  # type: ignore[attr-defined]
    for key, positions in found.items():
        assert positions.dtype == np.int64
        assert bool((np.diff(positions) > 0).all())
        assert 0 <= positions[0] <= positions[-1] < subject.memory[key].words.bits


def test_one_seed_gives_one_result_at_any_rate(attack: FaultModel, subject: StoredSubject) -> None:
    first = lists(attack.attack(subject, 1e-3, 1))
    assert lists(attack.attack(subject, 0.5, 1)) == first


def test_nothing_flips_at_rate_0(attack: FaultModel, subject: StoredSubject) -> None:
    assert attack.attack(subject, 0.0, 1) == {}


def test_exempt_bits_are_never_among_the_positions(attack: FaultModel) -> None:
    subject = attacked("fp32", exempt=("exponent",)).subject
    for positions in attack.attack(subject, 1e-3, 1).values():
        assert not set((positions % 32).tolist()) & set(range(23, 31))


def test_only_bits_that_may_flip_are_taken(attack: FaultModel) -> None:
    subject = attacked("int8", only=("msb",)).subject
    for positions in attack.attack(subject, 1e-3, 1).values():
        assert set((positions % 8).tolist()) == {7}


def test_a_memory_without_room_is_refused(attack: FaultModel) -> None:
    held = attacked("fp32", exempt=("sign", "exponent", "mantissa")).subject
    with pytest.raises(ValueError, match="flips do not fit into 0 exposed"):
        attack.attack(held, 1e-3, 1)


def test_the_network_is_left_as_it_was(attack: FaultModel, subject: StoredSubject) -> None:
    before = {name: held.clone() for name, held in subject.module.named_parameters()}
    attack.attack(subject, 1e-3, 1)
    for name, held in subject.module.named_parameters():
        assert torch.equal(held, before[name])
        assert not held.requires_grad


def test_words_alone_cannot_be_attacked(attack: FaultModel) -> None:
    words = Words(torch.zeros(3, dtype=torch.uint8), 8)
    with pytest.raises(TypeError, match="must look at the network"):
        attack.sample(words, 0.5, Stream(0, "w", "payload", 8))


def test_a_trial_flips_what_the_attack_chose(attack: FaultModel) -> None:
    prepared = attacked("int8", fault=attack)
    outcome = run_trial(prepared, plain(seed=1))
    assert outcome.flipped_bits == attack.count  # type: ignore[attr-defined]
    assert run_trial(prepared, plain(seed=1)) == outcome


def test_images_are_asked_for_where_it_learns(attack: FaultModel) -> None:
    prepared = attacked("int8", fault=attack, split=False)
    assert (prepared.setup.needs_profile == attack.name) is attack.learns
    if attack.learns:
        with pytest.raises(ValueError, match="learns from a profile split, and there is none"):
            run_trial(prepared, plain())
    else:
        assert run_trial(prepared, plain()).flipped_bits == attack.count  # type: ignore[attr-defined]

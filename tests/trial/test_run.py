"""One trial on the digits network: what it leaves, and what its numbers mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from campaign.faults import FAULTS, Stream
from campaign.spec.grid import Point, Targets
from campaign.trial.evaluate import TestSet, judge
from campaign.trial.forward import Forward
from campaign.trial.memory import choose, corrupt
from campaign.trial.run import run_trial
from campaign.trial.setup import Network, prepare


def bits_of(network: Network) -> dict[str, torch.Tensor]:
    return {n: p.clone().view(torch.int32) for n, p in network.module.named_parameters()}


def unchanged(network: Network, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(bits, before[name]) for name, bits in bits_of(network).items())


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16", "int8", "q2_5"])
def test_weights_are_restored_to_the_bit_after_many_trials(
    make_setup, network, digits, dtype
) -> None:
    prepared = prepare(make_setup(dtype), network, digits)
    before = bits_of(network)
    for seed, ber in enumerate([1e-6, 1e-4, 1e-3, 1e-2, 0.3]):
        run_trial(prepared, Point("x", ber, seed))
        assert unchanged(network, before)


def test_weights_are_restored_when_the_network_raises(
    make_setup, network, digits, monkeypatch
) -> None:
    prepared = prepare(make_setup(), network, digits)
    before = bits_of(network)

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(network.module, "forward", fail)
    with pytest.raises(RuntimeError, match="broken"):
        run_trial(prepared, Point("x", 0.01, 1))
    assert unchanged(network, before)


def test_a_trial_is_what_a_plain_loop_over_a_copy_gives(make_setup, network, digits) -> None:
    """Flip bits of the float32 weights with numpy, load them into a second network, evaluate."""
    prepared = prepare(make_setup("fp32", nonfinite="propagate"), network, digits)
    point = Point("x", 3e-4, 11)
    outcome = run_trial(prepared, point)
    copy = type(network)(prepared.setup.model.build(), network.trained, network.kinds, {}).module
    state, flips = {}, 0
    for name, value in network.module.state_dict().items():
        words = value.numpy().copy()
        if name in prepared.stored:
            payload = prepared.stored[name].fields["payload"]
            stream = Stream(11, name, "payload", 32)
            positions = prepared.setup.fault.sample(payload, point.ber, stream)
            flat = words.reshape(-1).view(np.uint32)
            for position in positions:
                flat[position // 32] ^= np.uint32(1 << int(position % 32))
            flips += len(positions)
        state[name] = torch.from_numpy(words)
    copy.load_state_dict(state)
    counts = judge(Forward(copy).answers(digits), digits.labels, prepared.fault_free)
    assert outcome.counts == counts
    assert outcome.flipped_bits == flips > 0


def test_the_same_point_gives_the_same_outcome_in_any_order(make_setup, network, digits) -> None:
    points = [Point("x", ber, seed) for ber in (1e-5, 1e-3) for seed in range(4)]
    prepared = prepare(make_setup(), network, digits)
    forward = [run_trial(prepared, p) for p in points]
    again = prepare(make_setup(), network, digits)
    backward = [run_trial(again, p) for p in reversed(points)]
    assert forward == backward[::-1]


def test_setups_do_not_disturb_each_other(make_setup, network, digits) -> None:
    point = Point("x", 1e-3, 5)
    first = run_trial(prepare(make_setup("fp32"), network, digits), point)
    run_trial(
        prepare(make_setup("q2_5", targets=Targets(kinds=("weights", "biases"))), network, digits),
        point,
    )
    assert run_trial(prepare(make_setup("fp32"), network, digits), point) == first


def test_without_a_flip_the_fault_free_counts_are_those_of_an_evaluation(
    make_setup, network, digits
) -> None:
    prepared = prepare(make_setup("q2_5"), network, digits)
    outcome = run_trial(prepared, Point("x", 0.0, 0))
    logits = Forward(network.module).answers(digits)
    assert outcome.counts == judge(logits, digits.labels, logits)
    assert outcome.counts.n_masked == outcome.counts.n_samples == 600
    assert (outcome.flipped_bits, outcome.flipped_words) == (0, 0)


def test_payload_faults_are_equal_across_methods_of_equal_word_size(
    make_setup, network, digits
) -> None:
    def digest(*methods: str, t: float | None = None) -> str:
        prepared = prepare(make_setup("fp32", *methods, t=t), network, digits)
        return run_trial(prepared, Point("x", 1e-4, 3)).flips_digest

    assert digest() == digest("range_clamp") == digest("weight_scaling", t=2.0) == digest("saf")


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        (("weights",), {"weight"}),
        (("biases",), {"bias"}),
        (("weights", "biases"), {"weight", "bias"}),
    ],
)
def test_targets_decide_which_parameters_are_exposed(
    make_setup, network, digits, kinds, names
) -> None:
    prepared = prepare(make_setup(targets=Targets(kinds=kinds)), network, digits)
    assert {name.rsplit(".", 1)[1] for name in prepared.stored} == names
    expected = sum(p.numel() for n, p in network.module.named_parameters() if n in prepared.stored)
    assert prepared.stored_bits == prepared.exposed_bits == 32 * expected


def test_name_patterns_select_parameters(make_setup, network, digits) -> None:
    every = set(prepare(make_setup(), network, digits).stored)
    first = sorted(every)[0]
    only = prepare(make_setup(targets=Targets(include=(first,))), network, digits)
    rest = prepare(make_setup(targets=Targets(exclude=(first,))), network, digits)
    assert set(only.stored) == {first}
    assert set(rest.stored) == every - {first}


def test_nothing_exposed_is_an_error_that_names_the_model(make_setup, network, digits) -> None:
    with pytest.raises(
        ValueError, match="no parameter of digits_cnn is exposed by weights; only nix"
    ):
        prepare(make_setup(targets=Targets(include=("nix",))), network, digits)


def test_labels_beyond_the_classes_are_an_error(make_setup, network, digits) -> None:
    data = TestSet(digits.pixels, digits.labels + 5, digits.preprocess, 200)
    with pytest.raises(
        ValueError, match="digits has labels up to 14, digits_cnn answers 10 classes"
    ):
        prepare(make_setup(), network, data)


def test_nan_weights_make_wrong_answers_when_they_propagate(make_setup, network, digits) -> None:
    prepared = prepare(
        make_setup("fp32", "weight_scaling", t=2.0**127, nonfinite="propagate"), network, digits
    )
    outcome = run_trial(prepared, Point("x", 1e-3, 0))
    assert outcome.nonfinite_weights > 0
    assert outcome.counts.n_nonfinite == 600
    assert outcome.counts.n_correct == 0


def test_scaling_to_the_top_keeps_accuracy_where_raw_floats_lose_it(
    make_setup, network, digits
) -> None:
    """REFERENCE figures for a digits network: raw 6.7 %, t near the top with NaN as 0 97.7 %."""
    point = Point("x", 1e-3, 0)
    raw = run_trial(prepare(make_setup(), network, digits), point)
    top = run_trial(
        prepare(make_setup("fp32", "weight_scaling", t=2.0**127), network, digits), point
    )
    assert raw.counts.n_correct < 300
    assert top.counts.n_correct > 560
    assert raw.flips_digest == top.flips_digest


def test_flip_counts_follow_the_binomial_over_many_trials(make_setup, network, digits) -> None:
    prepared = prepare(make_setup("q2_5"), network, digits)
    ber, trials = 2e-4, 2000
    memory, storage, fault = prepared.stored.values(), prepared.storage, prepared.setup.fault
    flips = []
    for seed in range(trials):
        chosen = choose(memory, fault, storage, ber=ber, seed=seed)
        flips.append(sum(corrupt(stored, chosen).flipped_bits for stored in memory))
    bits = prepared.exposed_bits
    mean, variance = bits * ber, bits * ber * (1 - ber)
    assert abs(np.mean(flips) - mean) < 6 * (variance / trials) ** 0.5
    fourth = variance * (1 + (3 - 6 / bits) * variance)
    assert abs(np.var(flips) - variance) < 6 * ((fourth - variance**2) / trials) ** 0.5


@pytest.mark.parametrize("methods", [(), ("parity",)])
@pytest.mark.parametrize("only", [(), ("exponent",)])
def test_exactly_as_many_bits_flip_over_all_tensors_as_asked(
    make_setup, network, digits, methods, only
) -> None:
    fault = FAULTS.make("exact_flips", {"count": 25})
    targets = Targets(kinds=("weights", "biases"), only_bits=only)
    setup = replace(make_setup("fp32", *methods, targets=targets), fault=fault)
    prepared = prepare(setup, network, digits)
    words = sum(p.numel() for n, p in network.module.named_parameters())
    assert prepared.exposed_bits == (8 if only else 32 + len(methods)) * words
    for seed in range(5):
        assert run_trial(prepared, Point("x", 1e-6, seed)).flipped_bits == 25
    assert run_trial(prepared, Point("x", 0.0, 0)).flipped_bits == 0

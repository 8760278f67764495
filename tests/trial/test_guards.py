"""Protections of activations on the digits network: what they learn, and what they save."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch

from campaign.methods import METHODS, Method
from campaign.methods.interval_search import accuracy_area, drawn_maps
from campaign.sources import DATASETS, MODELS
from campaign.spec.grid import Point
from campaign.trial.evaluate import TestSet, chosen_images, held_out_images
from campaign.trial.run import run_trial
from campaign.trial.setup import Prepared, prepare

RATES = (1e-5, 1e-4, 1e-3)


class Split(NamedTuple):
    judged: TestSet
    profile: TestSet


@pytest.fixture(scope="module")
def split() -> Split:
    """Images to be judged on and 120 others, as a campaign takes them."""
    how = MODELS.make("digits_cnn").preprocess
    images = DATASETS.make("digits").images(how)
    count = len(images.labels)
    return Split(
        *(
            TestSet.load(images, how, chosen=chosen, batch_size=50, device=torch.device("cpu"))
            for chosen in (chosen_images(count, 150, 120), held_out_images(count, 120))
        )
    )


@pytest.fixture
def protected(make_setup: Any, network: Any, split: Split) -> Callable[..., Prepared]:
    """The digits network under a stack of `(name, options)`; ``on`` replaces the images judged."""

    def protected(
        *stack: tuple[str, dict[str, object]], on: TestSet | None = None, dtype: str = "fp32"
    ) -> Prepared:
        methods: tuple[Method, ...] = tuple(METHODS.make(*given) for given in stack)
        setup = dataclasses.replace(make_setup(dtype), stack=methods)
        return prepare(setup, network, on or split.judged, split.profile)

    return protected


def plain_outputs(prepared: Prepared, pixels: torch.Tensor) -> list[torch.Tensor]:
    """Outputs of both ReLUs by plain forward hooks."""
    outputs: list[torch.Tensor] = []
    modules = [prepared.network.module.relu1, prepared.network.module.relu2]
    hooks = [m.register_forward_hook(lambda _m, _i, out: outputs.append(out)) for m in modules]
    with torch.inference_mode():
        prepared.network.module(pixels)
    for hook in hooks:
        hook.remove()
    return outputs


def mean_accuracy(prepared: Prepared, ber: float, seeds: int = 10) -> float:
    right = [run_trial(prepared, Point("trial", ber, seed)).counts for seed in range(seeds)]
    return sum(c.n_correct for c in right) / sum(c.n_samples for c in right)


def test_bounds_are_the_extremes_of_the_profile_split(protected, split: Split) -> None:
    prepared = protected(("ranger", {}))
    for place, output in enumerate(plain_outputs(prepared, split.profile.pixels)):
        seen = prepared.learnt[0]
        torch.testing.assert_close(seen[f"up{place}"], output.max(), rtol=1e-6, atol=0)
        assert seen[f"low{place}"] == output.min() == 0
    assert prepared.constant_bits == 2 * 2 * 32


def test_a_percentile_is_that_of_all_values_of_the_split(protected, split: Split) -> None:
    prepared = protected(("ranger", {"percentile": 99.5}))
    for place, output in enumerate(plain_outputs(prepared, split.profile.pixels)):
        ordered = output.reshape(-1).sort().values
        expected = ordered[-(-995 * len(ordered) // 1000) - 1]
        torch.testing.assert_close(prepared.learnt[0][f"up{place}"], expected, rtol=1e-6, atol=0)
        assert expected < output.max()


@pytest.mark.parametrize("dtype", ["fp32", "q2_5"])
@pytest.mark.parametrize(
    "given",
    [
        ("ranger", {}),
        ("ranger", {"out_of_range": "zero"}),
        ("ft_clipact", {"threshold": "profiled"}),
        ("nan_filter", {"infinite": "zero"}),
    ],
    ids=str,
)
def test_on_the_profile_split_nothing_changes_to_the_bit(
    protected, split: Split, given: Any, dtype: str
) -> None:
    plain, guarded = (protected(*s, on=split.profile, dtype=dtype) for s in ((), (given,)))
    first, second = (p.fault_free.view(torch.int32) for p in (plain, guarded))
    assert torch.equal(first, second)


def test_a_later_method_learns_behind_the_earlier_ones(protected) -> None:
    prepared = protected(
        ("clipped_relu", {"bound": 0.5}), ("ft_clipact", {"threshold": "profiled"})
    )
    assert prepared.learnt[0] == {}
    assert [held.item() for held in prepared.learnt[1].values()] == [0.5, 0.5]


@pytest.mark.parametrize(
    "given",
    [
        ("ranger", {}),
        ("ranger", {"out_of_range": "zero"}),
        ("ft_clipact", {"threshold": "profiled"}),
        ("clipped_relu", {}),
    ],
    ids=str,
)
def test_bounds_on_activations_raise_accuracy_under_faults(protected, given: Any) -> None:
    unprotected = mean_accuracy(protected(), 1e-4)
    assert mean_accuracy(protected(given), 1e-4) > unprotected + 0.05


def test_a_searched_threshold_is_never_worse_on_the_faults_it_was_sought_under(
    protected, split: Split
) -> None:
    options = {"rates": RATES, "injections": 3}
    searched = protected(("ft_clipact", options))
    profiled = protected(("ft_clipact", {"threshold": "profiled"}))
    plain = protected()
    assert plain.subject is not None
    maps, areas = drawn_maps(plain.subject, RATES, 3), []
    for prepared in (profiled, searched):
        (method,), (seen,) = prepared.setup.stack, prepared.learnt
        areas.append(
            accuracy_area(
                plain.subject,
                maps,
                lambda site, value, method=method, seen=seen: method.guard(site, value, seen),
            )
        )
    assert areas[1] >= areas[0]
    for key, held in searched.learnt[0].items():
        assert 0 < held <= profiled.learnt[0][key]


def test_a_search_repeats_itself_to_the_bit(protected) -> None:
    first, second = (protected(("ft_clipact", {"rates": RATES, "injections": 2})) for _ in range(2))
    assert first.learnt == second.learnt


def test_a_search_leaves_the_network_as_it_was(protected, network) -> None:
    prepared = protected(("ft_clipact", {"rates": RATES, "injections": 1}))
    live = dict(network.module.named_parameters())
    for name, stored in prepared.stored.items():
        assert torch.equal(live[name], stored.clean)


def test_a_bound_lets_nan_pass_and_the_filter_stops_it(make_setup, network, split: Split) -> None:
    """One weight reads as NaN: each logit of every image depends on it."""
    stacks = (("ranger",), ("nan_filter", "ranger"))
    wrong = []
    for names in stacks:
        setup = make_setup("fp32", *names, nonfinite="propagate")
        prepared = prepare(setup, network, split.judged, split.profile)
        weight = network.module.get_parameter("conv2.weight")
        kept = weight.clone()
        weight.view(-1)[0] = torch.nan
        logits = prepared.forward.answers(split.judged)
        weight.copy_(kept)
        wrong.append(int((~logits.isfinite()).all(1).sum()))
    assert wrong == [150, 0]

"""A pass that starts at a kept cut answers, to the bit, as a whole pass does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from campaign.networks.sites import Site, Visit
from campaign.networks.stages import Stages, cut, same_bits
from campaign.sources import Preprocess
from campaign.sources.networks import build_network
from campaign.trial.evaluate import TestSet
from campaign.trial.forward import Forward
from campaign.trial.prefix import PrefixCache, kept_cuts, spared_share
from campaign.trial.setup import Network

ALL = 1 << 40


def random_network(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_network(name).requires_grad_(False)


def random_images(count: int, size: int = 32, batch_size: int = 8) -> TestSet:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    return TestSet(pixels, torch.zeros(count, dtype=torch.int64), Preprocess(), batch_size)


def weight_bits(module: nn.Module) -> dict[str, int]:
    return {name: p.numel() * 32 for name, p in module.named_parameters() if p.dim() > 1}


def guard(site: Site, value: Tensor) -> Tensor:
    """Something that depends on where it is called."""
    return value.clamp(max=1.5 + site.place / 16) if site.kind == "activation" else value * 1.001


def filled(forward: Forward, data: TestSet, budget_bytes: int = ALL) -> PrefixCache:
    return PrefixCache.filled(
        forward,
        data,
        stages=cut(forward.module, data.batch(0, 1)),
        exposed=weight_bits(forward.module),
        budget_bytes=budget_bytes,
    )


@contextmanager
def corrupted(module: nn.Module, names: list[str]) -> Iterator[None]:
    """Every seventh weight of the named parameters is another for as long as the block takes."""
    live = dict(module.named_parameters())
    held = {name: live[name].clone() for name in names}
    for name in names:
        live[name].view(-1)[::7].mul_(-3).add_(0.25)
    try:
        yield
    finally:
        for name, value in held.items():
            live[name].copy_(value)


FORWARDS = {
    "bare": (None, 1.0),
    "guarded": (guard, 1.0),
    "guarded and divided": (guard, 1 / 3),
}


@pytest.mark.parametrize("around", FORWARDS)
@pytest.mark.parametrize("name", ["cifar_resnet20", "torchvision/squeezenet1_1", "lenet_cifar"])
def test_answers_are_those_of_a_whole_pass_whatever_is_changed(name: str, around: str) -> None:
    visit, divisor = FORWARDS[around]
    module, data = random_network(name), random_images(20)
    forward = Forward(module, visit, divisor)
    cache = filled(forward, data)
    assert cache.held
    assert same_bits(cache.fault_free, forward.answers(data))
    names = [n for n, _ in module.named_parameters()]
    middle = len(names) // 2
    several = [[n] for n in names[:: max(1, len(names) // 10)]]
    for changed in [*several, names[-1:], names[middle:], names[:1] + names[-1:], names]:
        with corrupted(module, changed):
            whole = forward.answers(data)
            assert same_bits(cache.answers_from(set(changed)), whole)
            assert not same_bits(whole, cache.fault_free)
    assert same_bits(cache.answers_from(set()), cache.fault_free)  # nothing kept was spoilt
    assert same_bits(cache.answers_from(names), cache.fault_free)


def test_a_late_change_starts_late_and_an_early_one_at_the_images() -> None:
    module, data = random_network("cifar_resnet20"), random_images(9)
    cache = filled(Forward(module), data)
    assert cache.stages is not None
    assert cache.start({"conv1.weight"}) == 0
    assert cache.start({"linear.weight", "conv1.weight"}) == 0
    assert cache.start({"linear.weight"}) == cache.stages.first(["linear.weight"])
    assert cache.start({"layer2.0.conv2.weight"}) == cache.stages.first(["layer2.0.conv1.weight"])
    assert cache.start({"a parameter that is not there"}) == 0


def test_a_late_start_does_not_run_the_early_layers() -> None:
    module, data = random_network("cifar_resnet20"), random_images(16)
    cache = filled(Forward(module), data)
    with corrupted(module, ["conv1.weight"]):  # although not told of it
        assert same_bits(cache.answers_from({"linear.weight"}), cache.fault_free)


class Tied(nn.Module):
    """The last layer has the weight of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = (nn.Linear(48, 48, bias=False) for _ in range(3))
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.middle(self.first(x.flatten(1)).relu()).relu())
        return logits


def test_a_tied_weight_cannot_return_stale_activations() -> None:
    torch.manual_seed(0)
    module, data = Tied().requires_grad_(False).eval(), random_images(10, size=4)
    forward = Forward(module)
    cache = filled(forward, data)
    assert list(cache.held) == [3]  # what the middle layer gets
    for changed in (["first.weight"], ["middle.weight"], ["first.weight", "middle.weight"]):
        with corrupted(module, changed):
            assert same_bits(cache.answers_from(changed), forward.answers(data))
            if "first.weight" in changed:
                assert same_bits(cache.answers_from(["last.weight"]), forward.answers(data))


@pytest.mark.parametrize("images", [range(0, 8), range(8, 24), range(16, 30), range(24, 30)])
def test_ranges_of_whole_batches_start_at_the_cut(images: range) -> None:
    module, data = random_network("lenet_cifar"), random_images(30)
    forward = Forward(module, guard)
    cache = filled(forward, data)
    with corrupted(module, ["fc2.weight"]):
        found = cache.answers_from({"fc2.weight"}, images)
        assert same_bits(found, forward.answers(data, images))
        with corrupted(module, ["conv1.weight"]):  # not told: only a late start does not see it
            assert same_bits(found, cache.answers_from({"fc2.weight"}, images))


@pytest.mark.parametrize("images", [range(0, 5), range(3, 8), range(8, 20), range(29, 30)])
def test_other_ranges_get_a_whole_pass(images: range) -> None:
    module, data = random_network("lenet_cifar"), random_images(30)
    forward = Forward(module)
    cache = filled(forward, data)
    with corrupted(module, ["conv1.weight", "fc2.weight"]):  # told of one: a whole pass sees both
        found = cache.answers_from({"fc2.weight"}, images)
        assert same_bits(found, forward.answers(data, images))


def test_faults_of_activations_get_a_whole_pass() -> None:
    module, data = random_network("lenet_cifar"), random_images(20)
    forward = Forward(module)
    cache = filled(forward, data)

    def faulty(start: int) -> Visit:
        return lambda site, value: value + start if site.label == "conv1:conv2d" else value

    found = cache.answers_from({"fc3.weight"}, None, faulty)
    assert same_bits(found, forward.answers(data, None, faulty))
    assert not same_bits(found, cache.fault_free)


def test_hooks_set_later_are_not_left_out() -> None:
    module, data = random_network("lenet_cifar"), random_images(20)
    forward = Forward(module)
    cache = filled(forward, data)
    hook = module.conv1.register_forward_hook(lambda part, given, value: value + 1)
    assert same_bits(cache.answers_from({"fc3.weight"}), forward.answers(data))
    hook.remove()
    assert same_bits(cache.answers_from({"fc3.weight"}), cache.fault_free)


def test_without_stages_every_pass_is_whole() -> None:
    module, data = random_network("lenet_cifar"), random_images(20)
    forward = Forward(module, guard, 2.0)
    cache = PrefixCache.filled(
        forward, data, stages=None, exposed=weight_bits(module), budget_bytes=ALL
    )
    assert cache.held_bytes == 0
    assert same_bits(cache.fault_free, forward.answers(data))
    with corrupted(module, ["fc3.weight"]):
        assert same_bits(cache.answers_from({"fc3.weight"}), forward.answers(data))


class Overwriting(nn.Module):
    """Between the layers its values are changed in place, and not as a second time would."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = (nn.Linear(48, 48) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        x = self.middle(x.sub_(0.25)) + x
        logits: Tensor = self.last(x)
        return logits


def test_what_is_kept_is_not_spoilt_by_layers_that_work_in_place() -> None:
    torch.manual_seed(0)
    module, data = Overwriting().requires_grad_(False).eval(), random_images(20, size=4)
    forward = Forward(module)
    cache = filled(forward, data)
    assert cache.stages is not None
    assert cache.stages.parts[cache.start(["middle.weight"])].overwrites_input
    for _ in range(2):
        with corrupted(module, ["middle.weight"]):
            assert same_bits(cache.answers_from(["middle.weight"]), forward.answers(data))


class Shifty(nn.Module):
    """Goes another way once it has been cut."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(48, 48), nn.Linear(48, 4)
        self.shifted = False

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.b(self.a(x.flatten(1)).relu())
        return logits + 1 if self.shifted else logits


def test_a_network_that_no_longer_is_its_stages_is_noticed_when_the_cache_is_filled() -> None:
    torch.manual_seed(0)
    module, data = Shifty().requires_grad_(False).eval(), random_images(10, size=4)
    stages = cut(module, data.batch(0, 1))
    module.shifted = True
    cache = PrefixCache.filled(
        Forward(module), data, stages=stages, exposed=weight_bits(module), budget_bytes=ALL
    )
    assert cache.stages is None
    assert same_bits(cache.fault_free, Forward(module).answers(data))


@pytest.mark.parametrize("budget", [0, 1_000, 100_000, 400_000, 3_000_000, ALL])
def test_the_budget_is_kept(budget: int) -> None:
    module, data = random_network("cifar_resnet20"), random_images(19)
    cache = filled(Forward(module), data, budget)
    assert cache.held_bytes <= budget
    storages = {t.untyped_storage().data_ptr(): t for held in cache.held.values() for t in held}
    assert sum(t.untyped_storage().nbytes() for t in storages.values()) <= budget
    assert bool(cache.held) == (budget >= 19 * 64 * 4)  # what the last layer gets
    assert [sum(len(t) for t in held) for held in cache.held.values()] == [19] * len(cache.held)
    with corrupted(module, ["linear.weight"]):
        found = cache.answers_from({"linear.weight"})
        assert same_bits(found, Forward(module).answers(data))


def by_hand(stages: Stages, exposed: dict[str, int], cuts: tuple[int, ...]) -> float:
    """One flip after another, in plain loops."""
    total = spared = 0
    for name, bits in exposed.items():
        first = next(i for i, part in enumerate(stages.parts) if name in part.reads)
        start = max([place for place in cuts if place <= first], default=0)
        total += bits * sum(part.macs for part in stages.parts)
        spared += bits * sum(part.macs for part in stages.parts[:start])
    return spared / total


@pytest.mark.parametrize("name", ["tiny_resnet8", "lenet_cifar"])
def test_chosen_cuts_are_nearly_the_best_of_all_sets(name: str) -> None:
    module = random_network(name)
    stages = cut(module, random_images(1).batch(0))
    assert stages is not None
    exposed = weight_bits(module)
    sizes = {place: part.input_bytes * 10 for place, part in enumerate(stages.parts)}
    everything = [c for n in range(5) for c in itertools.combinations(range(1, len(stages)), n)]
    for budget in (5_000, 50_000, 400_000, 1_000_000):
        fitting = [cuts for cuts in everything if sum(sizes[place] for place in cuts) <= budget]
        best = max(by_hand(stages, exposed, cuts) for cuts in fitting)
        chosen = kept_cuts(stages, exposed, 10, budget)
        assert sum(sizes[place] for place in chosen) <= budget
        assert spared_share(stages, exposed, chosen) == pytest.approx(
            by_hand(stages, exposed, chosen), rel=1e-12, abs=1e-12
        )
        assert spared_share(stages, exposed, chosen) >= 0.8 * best


def test_only_exposed_parameters_count() -> None:
    module = random_network("lenet_cifar")
    stages = cut(module, random_images(1).batch(0))
    assert stages is not None
    assert kept_cuts(stages, {"conv1.weight": 100}, 10, ALL) == ()
    last = stages.first(["fc3.weight"])
    assert kept_cuts(stages, {"conv1.weight": 100, "fc3.weight": 1}, 10, ALL) == (last,)
    assert spared_share(stages, {}, (last,)) == 0


def test_a_trained_network_with_one_changed_layer_answers_as_in_a_whole_pass(
    network: Network, digits: TestSet
) -> None:
    forward = Forward(network.module)
    digits = replace(digits, batch_size=170)  # the last batch is not full
    cache = filled(forward, digits)
    for name in network.trained:
        with corrupted(network.module, [name]):
            assert same_bits(cache.answers_from([name]), forward.answers(digits))

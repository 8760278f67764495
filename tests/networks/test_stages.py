"""The stages of a network in turn are the network, to the bit, with the same sites."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from campaign.networks.sites import Site, watched
from campaign.networks.stages import Stages, cut, same_bits
from campaign.sources.architectures import ARCHITECTURES
from campaign.sources.known import known_macs
from campaign.sources.networks import build_network

SIZES = {
    **dict.fromkeys(ARCHITECTURES, 32),
    "digits_cnn": 8,
    "digits_mlp": 8,
    "torchvision/resnet18": 64,
    "torchvision/mobilenet_v2": 64,
    "torchvision/vgg11": 32,
    "torchvision/squeezenet1_1": 64,
    "torchvision/densenet121": 64,
    "torchvision/vit_b_16": 224,
}
QUICK = ("digits_cnn", "lenet_cifar", "tiny_resnet8", "resnet8_b")
CASES = [
    pytest.param(name, size, marks=[] if name in QUICK else [pytest.mark.slow])
    for name, size in SIZES.items()
]


def images(count: int, size: int, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.randn((count, channels, size, size), generator=torch.Generator().manual_seed(seed))


def network(name: str) -> nn.Module:
    """Random weights, and running statistics that are not those of a new BatchNorm."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_network(name).requires_grad_(False)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
    return module


def observed(run, module: nn.Module) -> tuple[Tensor, list[Site]]:
    """What a pass gives where every site adds to its value, and the sites."""
    seen: list[Site] = []

    def visit(site: Site, value: Tensor) -> Tensor:
        seen.append(site)
        return value * (1 + site.place / 1024)

    with torch.inference_mode(), watched(module, visit) as watch:
        return run(watch), seen


def stages_of(module: nn.Module, example: Tensor) -> Stages:
    found = cut(module.eval(), example)
    assert found is not None
    return found


@pytest.mark.parametrize(("name", "size"), CASES)
def test_stages_in_turn_are_the_network_with_its_sites(name: str, size: int) -> None:
    module = network(name)
    channels = 1 if name.startswith("digits") else 3
    stages = stages_of(module, images(1, size, channels))
    assert len(stages) >= 5
    x = images(3, size, channels, seed=1)
    with torch.inference_mode():
        assert same_bits(stages.run(x.clone()), module(x.clone()))
    whole, sites = observed(lambda _: module(x.clone()), module)
    staged, in_turn = observed(lambda watch: stages.run(x.clone(), 0, watch), module)
    assert in_turn == sites
    assert same_bits(staged, whole)


@pytest.mark.parametrize(
    "name", ["cifar_resnet20_b", pytest.param("torchvision/mobilenet_v2", marks=pytest.mark.slow)]
)
def test_a_pass_from_any_cut_has_the_end_of_the_sites_and_the_same_answer(name: str) -> None:
    module = network(name)
    x = images(2, 32)
    stages = stages_of(module, x)
    inputs: dict[int, Tensor] = {}
    _, sites = observed(lambda _: module(x.clone()), module)

    def keep(place: int, value: Tensor) -> None:
        inputs[place] = value.clone()

    whole, _ = observed(lambda watch: stages.run(x.clone(), 0, watch, keep), module)
    for place, value in inputs.items():
        found, end = observed(
            lambda watch, value=value, place=place: stages.run(value, place, watch), module
        )
        assert same_bits(found, whole)
        assert end == sites[len(sites) - len(end) :]
        assert sum(stages.parts[place].sites_before.values()) == len(sites) - len(end)


@pytest.mark.parametrize(
    "name",
    [
        "digits_cnn",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("cifar_resnet20_b", "torchvision/resnet18")
        ),
    ],
)
def test_a_changed_parameter_changes_no_stage_before_the_first_that_reads_it(name: str) -> None:
    """Every parameter in turn; what the stages before it get and give does not depend on it."""
    module = network(name)
    x = images(1, 8 if name == "digits_cnn" else 32, 1 if name == "digits_cnn" else 3)
    stages = stages_of(module, x)

    def trace() -> list[Tensor]:
        values: list[Tensor] = []
        with torch.inference_mode():
            values.append(stages.run(x.clone(), seen=lambda _, v: values.append(v.clone())))
        return values

    before = trace()
    for parameter_name, parameter in module.named_parameters():
        held = parameter.clone()
        parameter.mul_(1.5).add_(0.1)
        after = trace()
        parameter.copy_(held)
        changed = [not same_bits(a, b) for a, b in zip(before, after, strict=True)]
        assert changed.index(True) - 1 == stages.first([parameter_name])


def test_multiply_adds_are_the_published_ones() -> None:
    module = network("torchvision/resnet18")
    stages = stages_of(module, images(1, 224))
    assert sum(part.macs for part in stages.parts) == known_macs("torchvision/resnet18")
    small = stages_of(network("digits_cnn"), images(4, 8, channels=1))
    by_hand = [64 * 16 * 9, 64 * 32 * 16 * 9, 512 * 10]
    assert [part.macs for part in small.parts if part.macs] == by_hand


def test_bytes_are_those_of_one_image_whatever_the_example() -> None:
    for count in (1, 5):
        stages = stages_of(network("digits_cnn"), images(count, 8, channels=1))
        shapes = [64, 1024, 1024, 2048, 2048, 512, 512]
        assert [part.input_bytes for part in stages.parts] == [4 * n for n in shapes]


class InPlace(nn.Module):
    """Lines in place, one that forgets its result, and a view that is changed later."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout()
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.relu(self.first(x)))
        F.relu_(x)
        x = self.drop(x).flatten(1)  # in eval mode still the memory of x
        x.add_(1)
        return self.out(x)


def test_a_stage_tells_whether_its_input_is_changed_then_or_later() -> None:
    torch.manual_seed(0)
    module, x = InPlace().requires_grad_(False).eval(), images(2, 2, channels=1)
    stages = stages_of(module, x)
    inputs: list[Tensor] = []
    copies: list[Tensor] = []

    def keep(place: int, value: Tensor) -> None:
        inputs.append(value)
        copies.append(value.clone())

    with torch.inference_mode():
        assert same_bits(stages.run(x.clone(), seen=keep), module(x.clone()))
    changed = [not same_bits(a, b) for a, b in zip(inputs, copies, strict=True)]
    told = [part.overwrites_input for part in stages.parts]
    assert all(told[place] for place, wrong in enumerate(changed) if wrong)
    assert sum(changed) >= 4
    assert not all(told)


class Tied(nn.Module):
    """Two layers with one weight, and one whose weight lies in the memory of another's."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(4, 4) for _ in range(4))
        self.c.weight = self.a.weight
        self.d.weight = nn.Parameter(self.b.weight.data[:])

    def forward(self, x: Tensor) -> Tensor:
        return self.d(self.c(self.b(self.a(x.flatten(1)))))


def test_a_tied_parameter_counts_for_the_earliest_stage_under_each_of_its_names() -> None:
    stages = stages_of(Tied().requires_grad_(False), images(2, 2, channels=1))
    places = {n: stages.first([n]) for n in ("a.bias", "b.bias", "c.bias", "d.bias")}
    assert list(places.values()) == sorted(set(places.values()))
    assert stages.first(["c.weight"]) == stages.first(["a.weight"]) == places["a.bias"]
    assert stages.first(["d.weight"]) == stages.first(["b.weight"]) == places["b.bias"]
    assert stages.first(["d.bias", "c.bias"]) == places["c.bias"]
    assert stages.first(["unknown"]) == 0
    assert stages.first([]) == len(stages)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) * 2 if x.sum() > 0 else x.flatten(1)


class Noise(nn.Module):
    """Answers otherwise each time."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x.flatten(1) + 1)


@pytest.mark.parametrize("kind", [Branching, Noise])
def test_a_network_that_is_not_the_same_each_time_has_no_stages(kind: type[nn.Module]) -> None:
    with torch.random.fork_rng(devices=[]):
        assert cut(kind().eval(), images(16, 2, channels=1)) is None


def test_hooks_and_training_mode_leave_only_whole_passes() -> None:
    module, x = network("digits_cnn"), images(1, 8, channels=1)
    stages = stages_of(module, x)
    assert stages.stand_for_module
    for path in ("", "conv1"):
        hook = module.get_submodule(path).register_forward_hook(lambda *_: None)
        assert not stages.stand_for_module
        assert cut(module, x) is None
        hook.remove()
    assert stages.stand_for_module
    assert cut(module.train(), x) is None


def test_buffers_are_read_anew() -> None:
    module, x = network("cifar_resnet20"), images(2, 32)
    stages = stages_of(module, x)
    for held in module.buffers():
        if held.is_floating_point():
            held.mul_(1.25)
    with torch.inference_mode():
        assert same_bits(stages.run(x), module(x))


def test_cutting_works_in_inference_mode_and_leaves_the_example_and_the_generator() -> None:
    module = InPlace().requires_grad_(False).eval()
    with torch.inference_mode():
        x = images(2, 2, channels=1)
        held, state = x.clone(), torch.random.get_rng_state()
        assert cut(module, x) is not None
    assert torch.equal(x, held)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())

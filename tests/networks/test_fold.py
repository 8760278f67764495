"""A folded network answers as before, has no BatchNorm, and nothing is folded that cannot be."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from campaign.networks.fold import fold_batchnorm

Lively = Callable[[nn.Module | str], nn.Module]


def answers(module: nn.Module, *shape: int) -> Tensor:
    """Answers to the same random input of `shape`."""
    with torch.inference_mode():
        found: Tensor = module(torch.randn(shape, generator=torch.Generator().manual_seed(7)))
    return found


def check_equal(module: nn.Module, *shape: int) -> nn.Module:
    """Fold a copy; it answers as `module` does. Gives the copy."""
    folded = fold_batchnorm(copy.deepcopy(module))
    before, after = answers(module, *shape), answers(folded, *shape)
    assert float((after - before).abs().max()) <= 1e-5 * float(before.abs().max())
    norms = [m for m in folded.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert not norms
    return folded


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("cifar_resnet20", (2, 3, 32, 32)),
        ("cifar_resnet20_b", (2, 3, 32, 32)),
        ("cifar_vgg16_bn", (2, 3, 32, 32)),
        ("torchvision/resnet18", (1, 3, 64, 64)),
        ("torchvision/mobilenet_v2", (1, 3, 64, 64)),
    ],
)
def test_a_folded_network_answers_as_before(
    lively: Lively, name: str, shape: tuple[int, ...]
) -> None:
    network = lively(name)
    names = [n for n, _ in network.named_parameters() if n.endswith("weight")]
    folded = check_equal(network, *shape)
    kept = {n for n, _ in folded.named_parameters()}
    convolutions = {n for n in names if network.get_parameter(n).dim() > 1}
    assert convolutions <= kept
    assert all(n.replace("weight", "bias") in kept for n in convolutions)


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6), (2, 4, 9, 9)),
        (nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6, affine=False), (2, 4, 9, 9)),
        (nn.ConvTranspose2d(4, 6, 3), nn.BatchNorm2d(6), (2, 4, 9, 9)),
        (nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False), nn.BatchNorm2d(6), (2, 4, 9, 9)),
        (nn.ConvTranspose1d(6, 9, 3, groups=3, stride=2), nn.BatchNorm1d(9), (2, 6, 9)),
        (nn.Conv1d(4, 6, 3, padding=1, padding_mode="reflect"), nn.BatchNorm1d(6), (2, 4, 9)),
        (nn.Conv3d(4, 6, 3), nn.BatchNorm3d(6, eps=0.1), (2, 4, 5, 5, 5)),
        (nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), (5, 4)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_every_kind_of_layer_folds(
    lively: Lively, layer: nn.Module, norm: nn.Module, shape: tuple[int, ...]
) -> None:
    check_equal(lively(nn.Sequential(layer, norm, nn.ReLU())), *shape)


def test_weights_are_rounded_once_from_float64(lively: Lively) -> None:
    network = lively(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    before = {n: v.double().numpy() for n, v in network.state_dict().items()}
    folded = fold_batchnorm(network).state_dict()
    gain = before["1.weight"] / (before["1.running_var"] + 1e-5) ** 0.5
    weight = (before["0.weight"] * gain[:, None]).astype("float32")
    bias = (before["0.bias"] - before["1.running_mean"]) * gain + before["1.bias"]
    assert (folded["0.weight"].numpy() == weight).all()
    assert (folded["0.bias"].numpy() == bias.astype("float32")).all()


def test_a_network_without_batchnorm_is_left_alone(lively: Lively) -> None:
    network = lively("digits_cnn")
    before = copy.deepcopy(network.state_dict())
    after = fold_batchnorm(network).state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[n], before[n]) for n in before)


def test_a_norm_that_hangs_in_two_places_is_replaced_in_both(lively: Lively) -> None:
    network = lively(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    network.get_submodule("0").register_module("alias", network.get_submodule("1"))
    check_equal(network, 2, 3)


class _Twice(nn.Module):
    """A layer called twice, each time with BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(self.norm(self.layer(x))))


class _UsedElsewhere(_Twice):
    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        return self.norm(x) + x


class _Branching(_Twice):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(x)) if x.sum() > 0 else x


class _Own(nn.BatchNorm1d):
    """Only its name is a BatchNorm's."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


def _tied() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    network[2].weight = network[0].weight
    return network


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.BatchNorm1d(4)), "^0: .* no convolution or linear layer stands directly"),
        (nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4)), "^2: .* directly before it"),
        (
            nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)),
            "^1: .* keeps no running statistics",
        ),
        (nn.Sequential(nn.Linear(4, 4), _Own(4)), "^1: _Own is not a BatchNorm of torch.nn"),
        (_Twice(), "^norm: .* called more than once"),
        (_UsedElsewhere(), "^norm: .* used elsewhere too"),
        (_tied(), "^1: .* shares parameters"),
        (_Branching(), "^the forward pass of _Branching cannot be traced: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_folded_is_refused_by_name(network: nn.Module, message: str) -> None:
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(ValueError, match=message):
        fold_batchnorm(network.eval())
    assert all(torch.equal(value, before[n]) for n, value in network.state_dict().items())

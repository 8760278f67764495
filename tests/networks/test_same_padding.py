"""Convolutions padded as TensorFlow's SAME does, against a loop over outputs."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from campaign.networks.fold import fold_batchnorm
from campaign.networks.graph import Pair, Traced
from campaign.networks.same_padding import SamePaddedConv2d, pad_same
from campaign.networks.scales import cumulative_scales
from campaign.networks.sites import Site, watched
from campaign.networks.stages import cut
from campaign.sources.parameters import multiply_adds, parameter_kinds

Floats = NDArray[np.float64]
Lively = Callable[[nn.Module | str], nn.Module]


def same_convolution(image: Floats, weight: Floats, stride: int, dilation: int) -> Floats:
    """SAME over (channels, h, w), written out value by value."""
    height, width = image.shape[1:]
    output = np.zeros((len(weight), -(-height // stride), -(-width // stride)))
    reach = (weight.shape[-1] - 1) * dilation + 1
    above = max((output.shape[1] - 1) * stride + reach - height, 0) // 2
    left = max((output.shape[2] - 1) * stride + reach - width, 0) // 2
    for y, x, i, j in product(*map(range, (*output.shape[1:], *weight.shape[2:]))):
        row, column = y * stride + i * dilation - above, x * stride + j * dilation - left
        if 0 <= row < height and 0 <= column < width:
            output[:, y, x] += weight[:, :, i, j] @ image[:, row, column]
    return output


def padded(convolution: nn.Conv2d) -> nn.Conv2d:
    pad_same(convolution)
    return convolution


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_outputs_are_those_of_same_padding(kernel: int, stride: int, dilation: int) -> None:
    layer = SamePaddedConv2d(2, 3, kernel, stride, 1, dilation, bias=False).double()
    weight = layer.weight.detach().numpy()
    for height, width in ((5, 6), (8, 7), (9, 12), (1, 4)):
        image = torch.randn(2, height, width, dtype=torch.float64)
        expected = same_convolution(image.numpy(), weight, stride, dilation)
        found = layer(image[None])[0].detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_sides_bias_and_groups_are_each_treated_on_their_own() -> None:
    layer = padded(nn.Conv2d(4, 4, (3, 5), (1, 2), 1, groups=4)).double()
    image = torch.randn(1, 4, 6, 7, dtype=torch.float64)
    found = layer(image)[0].detach().numpy()
    weight, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
    assert found.shape == (4, 6, 4)
    for channel in range(4):
        plain = np.pad(image[0, channel].numpy(), ((1, 1), (2, 2)))
        for y, x in product(range(6), range(4)):
            cut_out = plain[y : y + 3, 2 * x : 2 * x + 5]
            expected = (cut_out * weight[channel, 0]).sum() + bias[channel]
            assert found[channel, y, x] == pytest.approx(expected, abs=1e-12)


def test_only_strided_convolutions_that_pad_with_zeros_are_changed() -> None:
    class Own(nn.Conv2d):
        pass

    stay = [
        nn.Conv2d(1, 1, 3, 1, 1),
        nn.Conv2d(1, 1, 3, 2, 0),
        nn.Conv2d(1, 1, 3, 1, "same"),
        nn.Conv2d(1, 1, 3, 2, "valid"),
        nn.Conv2d(1, 1, 3, 2, 1, padding_mode="reflect"),
        nn.MaxPool2d(3, 2, 1),
        Own(1, 1, 3, 2, 1),
    ]
    kinds = [type(part) for part in stay]
    assert pad_same(nn.Sequential(*stay)) == 0
    assert [type(part) for part in stay] == kinds
    assert pad_same(nn.Sequential(*stay, nn.Conv2d(1, 1, 3, (1, 2), (1, 0)))) == 1


@pytest.fixture
def pair(lively: Lively) -> tuple[nn.Module, nn.Module]:
    """A ResNet-20 as built, and a copy of it padded as SAME."""
    built = lively("cifar_resnet20")
    other = copy.deepcopy(built)
    assert pad_same(other) == 2
    return built, other


def test_the_rest_of_the_network_sees_the_same_layers(pair: tuple[nn.Module, nn.Module]) -> None:
    built, other = pair
    assert list(built.state_dict()) == list(other.state_dict())
    assert parameter_kinds(built) == parameter_kinds(other)
    assert Traced.of(built).pairs() == Traced.of(other).pairs()
    assert Traced.of(other).pairs()["layer2.0.conv1"] == Pair("layer2.0.conv1", "layer2.0.bn1")
    images = torch.rand(2, 3, 32, 32)
    assert not torch.equal(built(images), other(images))
    sites: tuple[list[Site], list[Site]] = [], []
    for network, seen in zip(pair, sites, strict=True):
        with watched(network, lambda site, value, seen=seen: seen.append(site) or value):
            network(images)
    assert sites[0] == sites[1]
    assert multiply_adds(copy.deepcopy(built), (3, 32, 32)) == multiply_adds(other, (3, 32, 32))


def test_copies_compute_what_the_network_does(pair: tuple[nn.Module, nn.Module]) -> None:
    _, other = pair
    images = torch.rand(2, 3, 32, 32)
    answers = other(images)
    assert torch.equal(pickle.loads(pickle.dumps(other))(images), answers)
    assert torch.equal(copy.deepcopy(other)(images), answers)
    laid = copy.deepcopy(other).to(memory_format=torch.channels_last)
    found = laid(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, answers)


def test_the_network_is_cut_and_folded_as_any_other(pair: tuple[nn.Module, nn.Module]) -> None:
    built, other = pair
    images = torch.rand(2, 3, 32, 32)
    stages, plain = cut(other, images), cut(built, images)
    assert stages is not None
    assert plain is not None
    assert [part.macs for part in stages.parts] == [part.macs for part in plain.parts]
    assert [part.reads for part in stages.parts] == [part.reads for part in plain.parts]
    answers = other(images)
    torch.testing.assert_close(fold_batchnorm(other)(images), answers, rtol=1e-4, atol=1e-4)


def test_scales_pass_through_a_padded_convolution() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.ReLU(), nn.Flatten())
    pad_same(network)
    scales = cumulative_scales(Traced.of(network.eval()), {"0.weight": 8.0})
    assert scales == ({"0": 8.0}, 8.0)
    images = torch.rand(2, 3, 8, 8)
    answers = network(images)
    network[0].weight.data *= 8
    assert torch.equal(network(images), 8 * answers)

"""Which BatchNorm follows which layer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from campaign.networks.graph import Pair, Traced

Lively = Callable[[nn.Module | str], nn.Module]


def test_layers_pair_with_the_batchnorm_behind_them(lively: Lively) -> None:
    network = lively("cifar_resnet20")
    pairs = Traced.of(network).pairs()
    assert pairs["layer1.0.conv2"] == Pair("layer1.0.conv2", "layer1.0.bn2")
    convolutions = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    assert list(pairs) == convolutions


def test_tracing_leaves_nothing_behind() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.ones(3)

    module = Constant()
    before = set(vars(module))
    Traced.of(module)
    assert set(vars(module)) == before

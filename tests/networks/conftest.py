"""Networks with statistics as training leaves them, and none of the weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from campaign.sources.networks import build_network


def with_statistics(network: nn.Module) -> nn.Module:
    """Every BatchNorm of `network` with random statistics, scales and shifts; in eval mode."""
    generator = torch.Generator().manual_seed(5)
    for part in network.modules():
        if not isinstance(part, nn.modules.batchnorm._BatchNorm):
            continue
        for name, low, high in (
            ("running_mean", -0.3, 0.3),
            ("running_var", 0.3, 2.0),
            ("weight", 0.5, 1.5),
            ("bias", -0.3, 0.3),
        ):
            if getattr(part, name) is not None:
                getattr(part, name).detach().uniform_(low, high, generator=generator)
    return network.eval().requires_grad_(False)


@pytest.fixture
def lively() -> Callable[[nn.Module | str], nn.Module]:
    """A network, or one that is built by its name, with random statistics."""

    def make(network: nn.Module | str) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            built = build_network(network, 10) if isinstance(network, str) else network
        return with_statistics(built)

    return make

"""Operations of an inference and of protections, against counts by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from campaign.formats import FORMATS
from campaign.methods import Method
from campaign.networks.sites import Site
from campaign.sources.known import known_macs
from campaign.sources.networks import build_network
from campaign.trial.cost import cost_of, one_pass
from campaign.trial.forward import Forward
from campaign.trial.memory import Storage
from campaign.trial.setup import prepare

DIGITS = 2 * (64 * 16 * 9 + 64 * 32 * 16 * 9 + 512 * 10)
"""Two convolutions with padding on 8 x 8 pixels and a linear layer, each product with its sum."""
WEIGHTS = 16 * 9 + 32 * 16 * 9 + 512 * 10


@dataclass(frozen=True)
class SiteCounter(Method):
    """A guard that takes 3 operations a value behind activations."""

    @property
    def guards(self) -> bool:
        return True

    def guard_operations(self, site: Site, count: int) -> int:
        return 3 * count if site.kind == "activation" else 0


@pytest.mark.parametrize(
    ("methods", "operations"),
    [
        ((), 0),
        (("parity",), 2 * WEIGHTS),
        (("range_clamp", "parity"), 5 * WEIGHTS),
        (("secded",), 17 * (16 * 9 + 32 * 16 * 9 + 512 * 10) // 2),
        (("nmr",), 4 * WEIGHTS // 2),
    ],
)
def test_operations_are_those_counted_by_hand(
    make_setup: Any, network: Any, digits: Any, methods: tuple[str, ...], operations: int
) -> None:
    prepared = prepare(make_setup("fp32", *methods), network, digits)
    assert prepared.cost == (DIGITS, operations)


def test_guards_count_the_values_of_one_image_at_their_sites(network: Any) -> None:
    storage = Storage(FORMATS.make("fp32"), (SiteCounter(), SiteCounter()))
    cost = cost_of(Forward(network.module), [], storage, torch.zeros(1, 1, 8, 8))
    assert cost == (DIGITS, 2 * 3 * (16 * 64 + 32 * 64))


def test_counting_changes_neither_network_nor_mode(network: Any) -> None:
    before: Mapping[str, torch.Tensor] = {
        name: held.clone() for name, held in network.module.state_dict().items()
    }
    one_pass(Forward(network.module), torch.zeros(1, 1, 8, 8))
    assert all(torch.equal(held, before[n]) for n, held in network.module.state_dict().items())
    assert not network.module.training
    assert not any(m._forward_hooks for m in network.module.modules())


@pytest.mark.parametrize("name", ["cifar_resnet20", "cifar_resnet56"])
def test_operations_are_twice_the_known_multiply_adds(name: str) -> None:
    found = one_pass(Forward(build_network(name, 10).eval()), torch.zeros(1, 3, 32, 32))
    assert found.operations == 2 * (known_macs(name) or 0)


class Functional(nn.Module):
    """Layers as calls in one module, one of them transposed, beside a matrix that none uses."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.ones(5, 3, 1, 1))
        self.wider = nn.Parameter(torch.ones(5, 8, 3, 3))
        self.last = nn.Parameter(torch.ones(10, 648))
        self.table = nn.Parameter(torch.ones(7, 7))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        value = nn.functional.conv2d(images, self.first)
        value = nn.functional.conv_transpose2d(value, self.wider, stride=2)
        return nn.functional.linear(value.flatten(1), weight=self.last)


def test_a_layer_costs_what_its_own_weight_takes() -> None:
    image = torch.zeros(1, 3, 4, 4)
    found, counter = one_pass(Forward(Functional().eval()), image), FlopCounterMode(display=False)
    with counter:
        Functional()(image)
    by_hand = 2 * (16 * 5 * 3 + 16 * 5 * 8 * 9 + 648 * 10)
    assert found.operations == by_hand == counter.get_total_flops()


def test_fused_attention_is_counted_as_its_products() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    found = one_pass(Forward(layer), torch.zeros(1, 5, 16))
    projections, scores, feed = 4 * 5 * 16 * 16, 2 * 2 * 5 * 5 * 8, 2 * 5 * 16 * 32
    assert found.operations == 2 * (projections + scores + feed)

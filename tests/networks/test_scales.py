"""How large the values of a network with scaled weights are, and where that cannot be said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from campaign.networks.graph import Traced
from campaign.networks.scales import cumulative_scales


class _Homogeneous(nn.Module):
    """All that passes a scale on; biases are zero."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.act = nn.LeakyReLU(0.1)
        self.own = nn.PReLU()
        self.pool = nn.AvgPool2d(2)
        self.last = nn.Linear(8, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.own(self.act(self.first(x)))
        y = F.max_pool2d(F.relu(x), 2) * 0.5
        z = F.dropout(self.pool(x), training=self.training)
        x = torch.cat([y + z, F.pad(y - z, (1, 1))[:, :, :, 1:-1]], dim=1)
        x = x.permute(0, 2, 3, 1).reshape(x.size(0), -1, x.shape[1]) / 3
        return self.last(x.mean(1).view(x.size(0), -1))


def test_what_the_network_gives_is_as_much_larger_as_said() -> None:
    network = _Homogeneous().eval().requires_grad_(False)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = network(x)
    factors = {"first.weight": 4.0, "last.weight": 0.5}
    scales = cumulative_scales(Traced.of(network), factors)
    assert scales == ({"first": 4.0, "last": 2.0}, 2.0)
    for name, factor in factors.items():
        network.get_parameter(name).mul_(factor)
    assert torch.equal(network(x), before * scales.output)


@pytest.mark.parametrize(
    "function",
    [
        *(F.gelu, F.silu, F.relu6, F.hardswish, F.softplus, torch.sigmoid, torch.tanh),
        *(lambda x: x + 1, lambda x: 2 / x, lambda x: x * x, lambda x: x**2),
        *(lambda x: F.pad(x, (1, 1), value=1.0), lambda x: F.softmax(x, 1), F.dropout),
        *(lambda x: F.layer_norm(x, (4,)), lambda x: x * x.mean(), lambda x: x.clamp(0, 6)),
        *(lambda x: torch.cat([x, torch.ones(4, 1)], 1), lambda x: x + torch.ones(4)),
        *(lambda x: F.normalize(x), lambda x: x.exp(), lambda x: x + x.relu() + x.sigmoid()),
    ],
)
def test_what_does_not_pass_a_scale_on_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return function(self.layer(x))

    with pytest.raises(ValueError, match=r"^\w+:.*divide: layer$"):
        cumulative_scales(Traced.of(Net().eval()), {"layer.weight": 2.0})


@pytest.mark.parametrize(
    "part",
    [
        *(nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.ReLU6(), nn.GELU(), nn.Hardtanh(), nn.Softmax(1)),
        *(nn.BatchNorm1d(4), nn.ELU(), nn.Tanh(), nn.InstanceNorm1d(4), nn.RMSNorm(4)),
    ],
    ids=lambda part: type(part).__name__,
)
def test_a_module_that_does_not_pass_a_scale_on_is_named(part: nn.Module) -> None:
    network = nn.Sequential(nn.Linear(4, 4), part).eval()
    name = "BatchNorm" if isinstance(part, nn.BatchNorm1d) else type(part).__name__
    with pytest.raises(ValueError, match=f"^1: {name} does not pass a scale"):
        cumulative_scales(Traced.of(network), {"0.weight": 2.0})


def test_any_function_may_stand_where_nothing_is_scaled() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.LayerNorm(4), nn.Linear(4, 2)).eval()
    found = cumulative_scales(Traced.of(network), {"3.weight": 8.0})
    assert found == ({"0": 1.0, "3": 8.0}, 8.0)


def test_a_weight_that_two_layers_share_scales_both() -> None:
    network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    network[1].weight = network[0].weight
    assert cumulative_scales(Traced.of(network), {"0.weight": 3.0}).output == 9.0


def test_a_weight_inside_attention_is_no_layer_of_known_scale() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.MultiheadAttention(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x, x, x)[0]

    with pytest.raises(ValueError, match=r"^inner: MultiheadAttention does not pass"):
        cumulative_scales(Traced.of(Attention().eval()), {"inner.in_proj_weight": 2.0})


def test_a_scale_beyond_float32_is_refused_where_it_is_reached() -> None:
    network = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(3)))
    for factor, size in ((2.0**100, "1.61e\\+60"), (2.0**-100, "6.22e-61")):
        factors = {f"{place}.weight": factor for place in range(3)}
        with pytest.raises(ValueError, match=f"^1: its output would be {size} times as large"):
            cumulative_scales(Traced.of(network), factors)

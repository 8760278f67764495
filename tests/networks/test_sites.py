"""Every call of a layer or activation is a site, whoever makes it, in every forward pass."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from campaign.networks.sites import Site, in_turn, watched


class Small(nn.Module):
    """A module used twice, a functional call, one in place, one that forgets its result."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True))
        self.relu = nn.ReLU()
        self.out = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.relu(self.body(x)) - 0.5)
        F.relu_(x)
        return F.gelu(self.out(F.relu6(x.mean((2, 3)))))


def sites_of(module: nn.Module, x: Tensor, passes: int = 1) -> list[Site]:
    seen: list[Site] = []

    def visit(site: Site, value: Tensor) -> Tensor:
        seen.append(site)
        return value

    with torch.inference_mode(), watched(module, visit):
        for _ in range(passes):
            module(x)
    return seen


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


def test_sites_are_named_and_counted_in_order(small: Small) -> None:
    assert sites_of(small, torch.ones(4, 1, 2, 2)) == [
        ("layer", 0, "body.0", "conv2d"),
        ("activation", 0, "body.1", "relu"),
        ("activation", 1, "relu", "relu"),
        ("activation", 2, "relu", "relu"),
        ("activation", 3, "", "relu"),
        ("activation", 4, "", "relu6"),
        ("layer", 1, "out", "linear"),
        ("activation", 5, "", "gelu"),
    ]


def test_counting_starts_anew_with_each_forward_pass(small: Small) -> None:
    x = torch.ones(1, 1, 2, 2)
    assert sites_of(small, x, passes=3) == sites_of(small, x) * 3


def test_watching_changes_nothing_and_leaves_no_hook(small: Small) -> None:
    x = torch.randn(5, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    before = small(x)
    with watched(small, lambda site, value: value):
        assert torch.equal(small(x), before)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in small.modules())


def test_what_a_visit_gives_is_what_the_network_goes_on_with(small: Small) -> None:
    def zero_last(site: Site, value: Tensor) -> Tensor:
        return torch.zeros_like(value) if site.function == "linear" else value

    with torch.inference_mode(), watched(small, zero_last):
        assert not small(torch.ones(1, 1, 2, 2)).any()


def test_a_call_in_place_is_changed_in_place(small: Small) -> None:
    def seven(site: Site, value: Tensor) -> Tensor:
        return (
            torch.full_like(value, 7.0) if (site.module, site.function) == ("", "relu") else value
        )

    with torch.inference_mode(), watched(small, seven):
        told = small(torch.ones(1, 1, 2, 2))
    with torch.inference_mode():
        assert torch.equal(told, F.gelu(small.out(torch.full((1, 2), 6.0))))


def test_visits_in_turn_see_what_the_one_before_gave() -> None:
    site = Site("activation", 0, "", "relu")
    visit = in_turn([lambda _, v: v + 1, lambda _, v: v * 10])
    assert visit is not None
    assert visit(site, torch.tensor(2.0)) == 30
    assert in_turn([]) is None


def test_an_error_in_the_network_leaves_no_hook_and_no_stale_count(small: Small) -> None:
    with pytest.raises(RuntimeError), watched(small, lambda _, value: value):
        small(torch.ones(1, 5, 2, 2))
    assert len(sites_of(small, torch.ones(1, 1, 2, 2))) == 8


def test_a_fused_attention_layer_is_one_site() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    seen: list[Site] = []

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.attention(x, x, x, need_weights=False)[0]
            return out

    def visit(site: Site, value: Tensor) -> Tensor:
        seen.append(site)
        return value + 1

    model, x = Wrapped().eval(), torch.ones(2, 3, 8)
    with torch.inference_mode():
        plain = model(x)
        with watched(model, visit):
            shifted = model(x)
    assert [site.function for site in seen] == ["multi_head_attention_forward"]
    torch.testing.assert_close(shifted, plain + 1)

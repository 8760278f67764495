"""Training through tau: slopes, starts and options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from campaign.methods import METHODS
from campaign.methods.trained_saf import SLOPES
from campaign.networks.raw import parametrize, raw_name, raw_parameters, raw_state
from campaign.networks.through import Through
from campaign.sources.parameters import parameter_kinds

FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "arctan": torch.atan,
    "softsign": torch.nn.functional.softsign,
    "hardtanh": torch.nn.functional.hardtanh,
    "scaled_tanh": torch.tanh,
}


@pytest.mark.parametrize("function", SLOPES)
def test_slopes_are_those_that_torch_finds(function: str) -> None:
    a = torch.tensor(0.6 if function == "scaled_tanh" else 1.0, dtype=torch.float64)
    weight = torch.randn(500, generator=torch.Generator().manual_seed(2)).requires_grad_()
    (expected,) = torch.autograd.grad((FUNCTIONS[function](weight.double() / a) * a).sum(), weight)
    method = METHODS.make(
        "saf", {"function": function, "store": "raw", **({"a": 0.6} if a != 1 else {})}
    )
    state = method.transform(weight.detach())[1]
    part = Through(
        lambda value: method.restore(value, state),
        lambda value: SLOPES[function](value.double() / a).float(),
    )
    read = part(weight)
    assert torch.equal(read, method.restore(weight.detach(), state))
    (found,) = torch.autograd.grad((3 * read).sum(), weight)
    torch.testing.assert_close(found, 3 * expected, rtol=1e-6, atol=1e-7)


def test_parametrized_parameters_keep_their_names_and_kinds() -> None:
    nn = torch.nn
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(4, 3))
    names, kinds = list(module.state_dict()), parameter_kinds(module)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    parametrize(module, "0.weight", Through(torch.tanh, None))
    parametrize(module, "0.weight", Through(torch.round, None))
    assert set(raw_state(module)) == set(names)
    assert set(raw_parameters(module)) == set(dict(module.named_parameters()) | kinds) - {
        "0.parametrizations.weight.original"
    }
    assert parameter_kinds(module) == kinds
    assert all(torch.equal(raw_state(module)[name], value) for name, value in state.items())
    assert torch.equal(module[0].weight, state["0.weight"].tanh().round())
    assert raw_name("a.b.weight") == "a.b.weight"
    twice = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    twice[1].weight = twice[0].weight
    with pytest.raises(ValueError, match=r"0.weight: 2 layers share it"):
        parametrize(twice, "0.weight", Through(torch.tanh))


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("trained_saf", {"a_over_max": 2.0}, "belongs to scaled_tanh, not to tanh"),
        (
            "trained_saf",
            {"function": "scaled_tanh", "start": "inverse", "a_over_max": 1.0},
            "allowed: above 1 with start: inverse",
        ),
        ("weight_clipping", {"recipe": "long"}, "needs trained: true, got trained: false"),
    ],
)
def test_options_that_do_not_fit_are_refused(name: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        METHODS.make(name, options)


def test_what_stands_before_it_may_not_change_what_it_was_trained_on() -> None:
    saf, clipping = METHODS.make("trained_saf"), METHODS.make("weight_clipping", {"trained": True})
    scaling = METHODS.make("weight_scaling", {"t": 2.0})
    assert saf.misfit((clipping,), ("weights",)) is None
    assert saf.misfit((METHODS.make("secded"),), ("weights",)) is None
    reason = saf.misfit((scaling,), ("weights",))
    assert reason is not None
    assert reason.endswith("put weight_scaling behind it")
    retrained = METHODS.make("retrained")
    assert "leave one out" in (retrained.misfit((saf,), ("weights",)) or "")

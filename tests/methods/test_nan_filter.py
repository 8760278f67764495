"""The NaN filter, against a loop over Python floats."""

from __future__ import annotations

import math

import pytest
import torch

from campaign.methods import METHODS
from campaign.networks.sites import Site

SITES = [Site("activation", 0, "relu", "relu"), Site("layer", 3, "conv", "conv2d")]
ANY = [-3.0, -0.0, 0.0, 3e38, 1e-45, math.inf, -math.inf, math.nan, -math.nan]


@pytest.mark.parametrize("infinite", ["keep", "zero"])
@pytest.mark.parametrize("site", SITES, ids=lambda site: site.kind)
def test_what_is_not_a_number_is_zero_at_every_site(site: Site, infinite: str) -> None:
    method = METHODS.make("nan_filter", {"infinite": infinite})
    wrong = math.isnan if infinite == "keep" else (lambda v: not math.isfinite(v))
    expected = torch.tensor([0.0 if wrong(v) else v for v in ANY])
    found = method.guard(site, torch.tensor(ANY), {})
    assert torch.equal(found.view(torch.int32), expected.view(torch.int32))
    assert method.guard_operations(site, 9) == 9


def test_no_profile_is_needed() -> None:
    assert not METHODS.make("nan_filter").observes

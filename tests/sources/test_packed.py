"""Weights as codes of a product quantiser, against a loop over rows of the codebook."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from campaign.errors import SetupError
from campaign.sources.checkpoints import fit_names

Tensors = dict[str, torch.Tensor]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6), nn.Linear(6, 2))


@pytest.fixture
def packed() -> Tensors:
    """The convolution in 24 codes of 9 values each, the rest as it is, folded statistics absent."""
    generator = torch.Generator().manual_seed(5)
    state = network().state_dict()
    kept = {name: held for name, held in state.items() if not name.startswith(("0.", "1.running"))}
    codes = torch.randint(0, 16, (6, 4), generator=generator, dtype=torch.uint8)
    book = torch.randn((16, 9), generator=generator).half()
    return {**kept, "0.codes_matrix": codes, "0.codebook": book}


def fitted(tensors: Tensors) -> Tensors:
    return fit_names(tensors, network(), path=Path("net.safetensors"))


def test_a_weight_is_the_rows_that_its_codes_name(packed: Tensors) -> None:
    found = fitted(packed)
    codes, book = packed["0.codes_matrix"].numpy(), packed["0.codebook"].numpy()
    expected = np.zeros((6, 4, 3, 3), np.float32)
    for filter_, row in enumerate(codes):
        for channel, code in enumerate(row):
            expected[filter_, channel] = book[code].reshape(3, 3)
    assert found["0.weight"].dtype == torch.float32
    assert np.array_equal(found["0.weight"].numpy(), expected)
    assert torch.equal(found["2.weight"], packed["2.weight"])


def test_statistics_that_were_folded_are_0_and_1(packed: Tensors) -> None:
    found = fitted(packed)
    assert found["1.running_mean"].tolist() == [0.0] * 6
    assert found["1.running_var"].tolist() == [1.0] * 6
    with pytest.raises(SetupError, match=r"1 missing \(1.running_var\)"):
        fitted({**packed, "1.running_mean": torch.zeros(6)})


def test_statistics_are_asked_for_where_nothing_is_packed() -> None:
    state = network().state_dict()
    with pytest.raises(SetupError, match="2 missing"):
        fitted({name: held for name, held in state.items() if "running" not in name})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"0.codebook": None}, "0.codes_matrix has no codebook"),
        ({"7.codes_matrix": torch.zeros(3, dtype=torch.uint8)}, "7.codes_matrix has no"),
        ({"0.codebook": torch.zeros(3, 9)}, "goes beyond the 3 codes"),
        ({"0.codebook": torch.zeros(16, 4)}, "makes 96 weights, the architecture has 216"),
    ],
)
def test_codes_that_do_not_fit_are_refused(
    packed: Tensors, change: dict[str, torch.Tensor | None], told: str
) -> None:
    given = {name: held for name, held in {**packed, **change}.items() if held is not None}
    with pytest.raises(SetupError, match=told):
        fitted(given)

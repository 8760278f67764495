from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from campaign.errors import SetupError
from campaign.registry import OptionError
from campaign.sources import MODELS, ModelSource

HUBCONF = """
dependencies = ["torch"]
from torch import nn
import torch

def network(width=2, pretrained=False):
    model = nn.Linear(3, width)
    if pretrained:
        with torch.no_grad():
            model.weight.fill_(0.5)
            model.bias.fill_(width)
    return model

def number():
    return 7
"""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "hubconf.py").write_text(HUBCONF)
    return folder


def make(repo: Path | str, **options: object) -> ModelSource:
    given = {"repo": str(repo), "entry": "network", "source": "local", "normalize": "none"}
    return MODELS.make("hub", {**given, **options})


def test_the_arguments_reach_the_entry(repo: Path) -> None:
    model = make(repo, arguments={"width": 4, "pretrained": True})
    state = model.state()
    assert state["weight"].shape == (4, 3)
    assert np.unique(state["weight"]).tolist() == [0.5]
    assert state["bias"].tolist() == [4.0] * 4
    assert model.label == "network"
    assert not model.build().training


def test_a_weight_file_replaces_the_weights_of_the_entry(repo: Path, tmp_path: Path) -> None:
    held = {"weight": torch.rand(2, 3), "bias": torch.rand(2)}
    torch.save(held, tmp_path / "mine.pt")
    state = make(repo, weights=str(tmp_path / "mine.pt")).state()
    assert all(np.array_equal(state[name], held[name].numpy()) for name in held)


def test_the_digest_sees_code_arguments_and_weights(repo: Path) -> None:
    pretrained = {"pretrained": True}
    digests = {
        make(repo, arguments=pretrained).digest(),
        make(repo, arguments={**pretrained, "width": 4}).digest(),
    }
    assert make(repo, arguments=pretrained).digest() in digests
    (repo / "more.py").write_text("x = 1")
    digests.add(make(repo, arguments=pretrained).digest())
    assert len(digests) == 3


def test_sources_can_be_compared_and_hashed(repo: Path) -> None:
    first = make(repo, arguments={"width": 4, "pretrained": True})
    second = make(repo, arguments={"pretrained": True, "width": 4})
    assert first == second
    assert hash(first) == hash(second)


def test_building_leaves_the_global_generator_alone(repo: Path) -> None:
    before = torch.get_rng_state()
    make(repo).build()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"entry": "absent"}, "absent.*check repo"),
        ({"arguments": {"depth": 3}}, "depth.*check repo"),
        ({"entry": "number"}, "gave int, not a torch.nn.Module"),
    ],
)
def test_what_cannot_be_built_is_told(repo: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(SetupError, match=message):
        make(repo, **options).build()


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"gone: no such folder with a hubconf\.py"):
        make(tmp_path / "gone").build()


def test_arguments_must_be_plain_values() -> None:
    with pytest.raises(OptionError, match="arguments"):
        make("x", arguments={"layers": [1, 2]})

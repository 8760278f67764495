from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

from campaign.errors import SetupError
from campaign.registry import OptionError
from campaign.sources import MODELS
from campaign.sources.networks import build_network
from campaign.sources.torchvision_models import checkpoints_folder
from campaign.sources.torchvision_weights import CATALOGUE, describe_architecture

NO_TORCH = """
import sys
from campaign.sources import MODELS
model = MODELS.make("torchvision/resnet18")
print(model.label, model.preprocess.resize, model.parameter_counts()["weights"], model.digest())
assert not {"torch", "torchvision"} & set(sys.modules)
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of torch.hub checkpoints with a ResNet-18 that nobody trained."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(build_network("torchvision/resnet18").state_dict(), folder / "resnet18-f37072fd.pth")
    return folder


def test_the_catalogue_is_current() -> None:
    assert sorted(CATALOGUE) == sorted(models.list_models(module=models))
    for name, entry in CATALOGUE.items():
        assert describe_architecture(name) == entry


def test_the_preprocessing_is_that_of_the_weights() -> None:
    for name, entry in CATALOGUE.items():
        for weights in entry["weights"]:
            found = MODELS.make(f"torchvision/{name}", {"weights": weights}).preprocess
            preset = models.get_weight(
                models.get_model_weights(name)[weights].__str__()
            ).transforms()
            assert [found.resize] == preset.resize_size
            assert [found.crop] == preset.crop_size
            assert found.interpolation == preset.interpolation.value
            assert (list(found.mean), list(found.std)) == (preset.mean, preset.std)
            assert found.divisor == 255.0


def test_the_weights_in_the_hub_folder_are_loaded(hub: Path) -> None:
    model = MODELS.make("torchvision/resnet18", {"weights": "IMAGENET1K_V1"})
    held = torch.load(hub / "resnet18-f37072fd.pth", weights_only=True)
    state = model.state()
    assert list(state) == list(model.build().state_dict())
    assert all(np.array_equal(state[name], tensor.numpy()) for name, tensor in held.items())
    assert not model.build().training


def test_the_digest_is_of_the_file_and_needs_no_torch(hub: Path) -> None:
    digest = MODELS.make("torchvision/resnet18").digest()
    found = subprocess.run(
        [sys.executable, "-c", NO_TORCH],
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.stdout, found.stderr) == (f"resnet18 256 11678912 {digest}\n", "")
    path = hub / "resnet18-f37072fd.pth"
    path.write_bytes(path.read_bytes() + b"x")
    assert MODELS.make("torchvision/resnet18").digest() != digest


def test_without_the_file_and_the_network_the_error_says_where_it_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(SetupError) as caught:
        MODELS.make("torchvision/resnet34").digest()
    member = models.ResNet34_Weights.DEFAULT
    path = tmp_path / "hub" / "checkpoints" / Path(member.url).name
    assert f"fetch {member.url} and put it at {path}" in str(caught.value)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("torch_home", [None, "/somewhere"])
def test_the_folder_is_the_one_of_torch_hub(
    torch_home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch_home is None:
        monkeypatch.delenv("TORCH_HOME", raising=False)
    else:
        monkeypatch.setenv("TORCH_HOME", torch_home)
    assert checkpoints_folder() == Path(torch.hub.get_dir()) / "checkpoints"


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(
        OptionError, match=r"no classification network 'resnet81'.*did you mean 'resnet"
    ):
        MODELS.make("torchvision/resnet81")
    with pytest.raises(OptionError, match="got 'V1' for resnet18; allowed: DEFAULT, IMAGENET1K_V1"):
        MODELS.make("torchvision/resnet18", {"weights": "V1"})


def test_features_without_classes_are_not_offered() -> None:
    with pytest.raises(OptionError, match="IMAGENET1K_FEATURES"):
        MODELS.make("torchvision/vgg16", {"weights": "IMAGENET1K_FEATURES"})


def test_weights_of_larger_images_build_a_larger_transformer() -> None:
    model = MODELS.make("torchvision/vit_b_16", {"weights": "IMAGENET1K_SWAG_E2E_V1"})
    counts = model.parameter_counts()
    assert counts is not None
    assert sum(p.numel() for p in model.build().parameters()) == sum(counts.values())


def test_networks_that_undo_the_normalisation_are_told_to() -> None:
    for name in ("googlenet", "inception_v3"):
        assert MODELS.make(f"torchvision/{name}").build().transform_input is True

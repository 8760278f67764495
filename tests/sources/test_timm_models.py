from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from campaign.errors import SetupError
from campaign.registry import OptionError
from campaign.sources import MODELS
from campaign.sources.timm_models import timm_preprocess

HAS_TIMM = importlib.util.find_spec("timm") is not None


@pytest.mark.skipif(HAS_TIMM, reason="timm is installed")
def test_without_timm_the_error_says_what_to_install() -> None:
    model = MODELS.make("timm/resnet50.a1_in1k")
    for call in (lambda: model.preprocess, model.digest, model.state, model.build):
        with pytest.raises(SetupError, match=r'pip install "fault-campaign\[timm\]"'):
            call()


def test_the_label_has_the_tag_and_needs_no_timm() -> None:
    assert MODELS.make("timm/resnet50.a1_in1k").label == "resnet50.a1_in1k"
    assert MODELS.make("timm/resnet50").parameter_counts() is None


def test_classes_need_a_checkpoint() -> None:
    with pytest.raises(OptionError, match="num_classes needs a checkpoint"):
        MODELS.make("timm/resnet50", {"num_classes": 10})


def test_a_configuration_becomes_the_preprocessing() -> None:
    config = {
        "input_size": (3, 288, 288),
        "crop_pct": 0.95,
        "crop_mode": "center",
        "interpolation": "bicubic",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
    }
    found = timm_preprocess("x", config)
    assert (found.resize, found.crop, found.interpolation) == (303, 288, "bicubic")
    assert (found.mean, found.std) == ((0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize(
    "config", [{"crop_mode": "border"}, {"input_size": (3, 224, 192)}, {"input_size": (4, 8, 8)}]
)
def test_a_geometry_that_cannot_be_had_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(SetupError, match=r"timm/x: input .* allowed: square images"):
        timm_preprocess("x", config)


@pytest.mark.skipif(not HAS_TIMM, reason="timm is not installed")
def test_a_checkpoint_of_the_user_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    options = {"checkpoint": str(path), "num_classes": 3}
    model = MODELS.make("timm/resnet18", options)
    torch.save(model.build().state_dict(), path)
    network = model.build()
    network.load_state_dict(
        {name: torch.from_numpy(array) for name, array in model.state().items()}
    )
    assert network(torch.rand(1, 3, 64, 64)).shape == (1, 3)
    assert model.preprocess.crop == 224
    assert len(model.digest()) == 64

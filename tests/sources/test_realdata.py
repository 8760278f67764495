"""Clean accuracy of real networks through these sources, against the published figures.

What nets.py beside the data decodes is an independent reader of the same files.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
import torch

from campaign.formats import FORMATS
from campaign.sources import DATASETS, MODELS, ModelSource
from campaign.sources.base import Images

pytestmark = pytest.mark.realdata


class Case(NamedTuple):
    weights: str
    architecture: str
    normalize: str
    dataset: str
    accuracy: float
    """Measured on the whole set by an independent loop, with an independent reader."""
    classes: int | None = None
    crop: int | None = None
    padding: str | None = None


CIFAR = [
    Case("cifar10_resnet20", "cifar_resnet20", "imagenet", "cifar10_test", 0.9173),
    Case("cifar10_resnet32", "cifar_resnet32", "imagenet", "cifar10_test", 0.9263),
    Case("cifar10_resnet8_b", "resnet8_b", "cifar10", "cifar10_test", 0.8959),
    Case("cifar10_tiny_resnet8_fp32", "tiny_resnet8", "none", "cifar10_test", 0.8719),
    Case("cifar10_tiny_resnet8_int8", "tiny_resnet8", "none", "cifar10_test", 0.8719),
    Case("cifar10_lenet", "lenet_cifar", "half", "cifar10_test", 0.6226),
    Case("cifar100_resnet8_b", "resnet8_b", "cifar100", "cifar100_test", 0.6411, 100),
    Case("cifar100_resnet20_b", "resnet20_b", "cifar100", "cifar100_test", 0.6969, 100),
]
MOBILENET = Case(
    "imagenet_mobilenet_v2_int8",
    "torchvision/mobilenet_v2",
    "half",
    "imagenet_val1300",
    0.7985,
    None,
    224,
    "same",
)
IMAGENET = [
    Case(
        f"imagenet_{name}",
        f"torchvision/{name}",
        "imagenet",
        "imagenet_val1300",
        accuracy,
        None,
        224,
    )
    for name, accuracy in (("resnet18", 0.7446), ("squeezenet1_1", 0.7046))
]


def model_of(case: Case, data: Path) -> ModelSource:
    options = case._asdict()
    given = {key: options[key] for key in ("architecture", "normalize", "crop", "padding")}
    file = str(data / "weights" / f"{case.weights}.safetensors")
    return MODELS.make("files", {**given, "weights": file, "num_classes": case.classes})


def images_of(case: Case, data: Path) -> Images:
    source = DATASETS.make("files", {"path": str(data / f"{case.dataset}.parquet")})
    return source.images(model_of(case, data).preprocess)


def right_answers(case: Case, data: Path, subset: int | None) -> np.ndarray:
    """Whether each image is classified right: bool, (n,)."""
    model, images = model_of(case, data), images_of(case, data)
    network, scaling = model.build(), model.preprocess
    network.load_state_dict({k: torch.from_numpy(v) for k, v in model.state().items()})
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (scaling.mean, scaling.std))
    right = []
    with torch.inference_mode():
        for start in range(0, subset or len(images.labels), 100):
            pixels = torch.from_numpy(np.array(images.pixels[start : start + 100])).float()
            logits = network((pixels / scaling.divisor - mean) / std)
            right.append(logits.argmax(1).numpy() == images.labels[start : start + 100])
    return np.concatenate(right)[:subset]


@pytest.mark.parametrize("case", CIFAR, ids=lambda case: case.weights)
def test_2000_images_are_within_six_sigma_of_the_whole_set(case: Case, real_data: Path) -> None:
    found = right_answers(case, real_data, 2000).mean()
    sigma = (case.accuracy * (1 - case.accuracy) / 2000) ** 0.5
    assert abs(found - case.accuracy) < 6 * sigma


@pytest.mark.slow
@pytest.mark.parametrize("case", [*CIFAR, *IMAGENET, MOBILENET], ids=lambda case: case.weights)
def test_the_whole_set_gives_the_measured_accuracy(case: Case, real_data: Path) -> None:
    found = right_answers(case, real_data, None)
    assert round(float(found.mean()), 4) == case.accuracy


def test_300_images_on_a_deployed_mobilenet_are_within_six_sigma(real_data: Path) -> None:
    found = right_answers(MOBILENET, real_data, 300).mean()
    sigma = (MOBILENET.accuracy * (1 - MOBILENET.accuracy) / 300) ** 0.5
    assert abs(found - MOBILENET.accuracy) < 6 * sigma


@pytest.fixture
def nets(real_data: Path) -> ModuleType:
    """The decoders that come with the data."""
    spec = importlib.util.spec_from_file_location("nets_of_the_data", real_data / "nets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DEPLOYED = [CIFAR[4], MOBILENET]


@pytest.mark.parametrize(
    ("case", "name"),
    list(zip(DEPLOYED, ("cifar10_tiny_resnet8_int8", "imagenet_mobilenet_v2"), strict=True)),
    ids=lambda held: held if isinstance(held, str) else "",
)
def test_deployed_int8_answers_as_another_reader_has_it(
    case: Case, name: str, real_data: Path, nets: ModuleType
) -> None:
    model, pixels = model_of(case, real_data), images_of(case, real_data).pixels[:100]
    network, scaling = model.build(), model.preprocess
    network.load_state_dict({k: torch.from_numpy(v) for k, v in model.state().items()})
    other, told = nets.build(name)
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (scaling.mean, scaling.std))
    images = (torch.from_numpy(np.array(pixels)).float() / scaling.divisor - mean) / std
    turned = images.flip(2, 3) if told.get("rotate180") else images
    with torch.inference_mode():
        found, expected = network(images), other(turned)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert found.argmax(1).equal(expected.argmax(1))


@pytest.mark.parametrize(
    ("case", "differing"),
    # The linear layer of the ResNet-8 has one scale for all of its 10 channels, 9 of which stay
    # below a code of 127: int8 gives each of these a finer scale of its own.
    [(DEPLOYED[0], {"fc": 9}), (DEPLOYED[1], {})],
    ids=["tiny_resnet8", "mobilenet_v2"],
)
def test_int8_per_channel_stores_the_bytes_of_the_file(
    case: Case, differing: dict[str, int], real_data: Path, nets: ModuleType
) -> None:
    state, dtype = model_of(case, real_data).state(), FORMATS.make("int8", {"per": "channel"})
    layers = nets.int8_layers(str(real_data / "weights" / f"{case.weights}.safetensors"))
    found = {}
    for layer, (codes, scales, _) in layers.items():
        weight = torch.from_numpy(state[f"{layer}.weight"])
        step = dtype.calibrate(weight)
        stored = dtype.encode(weight, step).data.view(torch.int8)
        used = codes.flatten(1).any(1)  # a channel of zeros tells no scale
        same = (stored == codes).flatten(1).all(1) & ((step.flatten() == scales) | ~used)
        found |= {} if same.all() else {layer: int((~same).sum())}
    assert found == differing

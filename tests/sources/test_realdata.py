"""Clean accuracy of real networks through these sources, against the published figures."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from campaign.sources import DATASETS, MODELS

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


CIFAR = [
    Case("cifar10_resnet20", "cifar_resnet20", "imagenet", "cifar10_test", 0.9173),
    Case("cifar10_resnet32", "cifar_resnet32", "imagenet", "cifar10_test", 0.9263),
    Case("cifar10_resnet8_b", "resnet8_b", "cifar10", "cifar10_test", 0.8959),
    Case("cifar10_tiny_resnet8_fp32", "tiny_resnet8", "none", "cifar10_test", 0.8719),
    Case("cifar10_lenet", "lenet_cifar", "half", "cifar10_test", 0.6226),
    Case("cifar100_resnet8_b", "resnet8_b", "cifar100", "cifar100_test", 0.6411, 100),
    Case("cifar100_resnet20_b", "resnet20_b", "cifar100", "cifar100_test", 0.6969, 100),
]
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


def right_answers(case: Case, data: Path, subset: int | None) -> np.ndarray:
    """Whether each image is classified right: bool, (n,)."""
    options = {"architecture": case.architecture, "normalize": case.normalize, "crop": case.crop}
    file = str(data / "weights" / f"{case.weights}.safetensors")
    model = MODELS.make("files", {**options, "weights": file, "num_classes": case.classes})
    images = DATASETS.make("files", {"path": str(data / f"{case.dataset}.parquet")}).images(
        model.preprocess
    )
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
@pytest.mark.parametrize("case", [*CIFAR, *IMAGENET], ids=lambda case: case.weights)
def test_the_whole_set_gives_the_measured_accuracy(case: Case, real_data: Path) -> None:
    found = right_answers(case, real_data, None)
    assert round(float(found.mean()), 4) == case.accuracy

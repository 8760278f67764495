"""What torchvision publishes for each classification network, readable without torchvision.

``python -m campaign.sources.torchvision_weights`` rewrites torchvision_weights.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from campaign.registry import nearest

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

CATALOGUE_FILE = Path(__file__).with_name("torchvision_weights.json")


class PublishedWeights(NamedTuple):
    """One weight file, and the input its authors evaluated it on."""

    name: str
    """Such as ``IMAGENET1K_V1``."""
    file: str
    """File name in the folder of torch.hub checkpoints."""
    resize: int
    crop: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    architecture: str
    """What they are loaded into, in the names of `campaign.sources.networks`."""


def published(architecture: str, weights: str) -> PublishedWeights:
    """The weights that a name means; ``DEFAULT`` are the best there are.

    Raises:
        ValueError: If there is no such network or no such weights; names the nearest.

    Example:
        >>> published("resnet18", "DEFAULT").file
        'resnet18-f37072fd.pth'
    """
    if architecture not in CATALOGUE:
        known = sorted(CATALOGUE)
        raise ValueError(
            f"torchvision has no classification network {architecture!r}"
            f"{nearest(architecture, known)}; allowed: {', '.join(known)}"
        )
    entry = CATALOGUE[architecture]
    name = entry["default"] if weights == "DEFAULT" else weights
    if name not in entry["weights"]:
        allowed = ", ".join(["DEFAULT", *entry["weights"]])
        raise ValueError(f"weights: got {weights!r} for {architecture}; allowed: {allowed}")
    held = entry["weights"][name]
    return PublishedWeights(
        name, **{**held, "mean": tuple(held["mean"]), "std": tuple(held["std"])}
    )


def describe_architecture(architecture: str) -> dict[str, Any]:
    """The entry of torchvision_weights.json for one network; imports torchvision."""
    from torchvision import models

    weights: Any = models.get_model_weights(architecture)
    # Weights without classes are the features of another task.
    members = [member for member in weights if member.meta["categories"]]
    return {
        "default": weights.DEFAULT.name,
        "weights": {member.name: _describe(architecture, member) for member in members},
    }


def _describe(architecture: str, member: WeightsEnum) -> dict[str, Any]:
    preset: Any = member.transforms()
    size = member.meta["min_size"][0] if architecture.startswith("vit_") else 224
    return {
        "file": PurePosixPath(member.url).name,
        "resize": preset.resize_size[0],
        "crop": preset.crop_size[0],
        "interpolation": preset.interpolation.value,
        "mean": preset.mean,
        "std": preset.std,
        "architecture": f"torchvision/{architecture}" + ("" if size == 224 else f"@{size}"),
    }


def main() -> None:
    """Describe every network and rewrite torchvision_weights.json."""
    from torchvision import models

    names = models.list_models(module=models)
    lines = [f"{json.dumps(name)}: {json.dumps(describe_architecture(name))}" for name in names]
    CATALOGUE_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


CATALOGUE: Mapping[str, Any] = json.loads(CATALOGUE_FILE.read_text(encoding="utf-8"))

if __name__ == "__main__":
    main()

"""Changes of training images, torchvision's transforms among them, fixed by a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from campaign.lazy import torch
from campaign.training.choice import Part, named, schema

if TYPE_CHECKING:
    from torch import Tensor

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class RandomCrop(Part):
    """Cut out at a random place of the padded image, in the size of the image."""

    kind: Literal["random_crop"]
    padding: Annotated[int, Field(ge=1)] = 4
    fill: Literal["constant", "reflect", "edge"] = "constant"


class RandomResizedCrop(Part):
    """Cut out a random part, a share of the area in `area`, and resize it to the whole."""

    kind: Literal["random_resized_crop"]
    area: tuple[Share, Share] = (0.08, 1.0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 < self.area[0] <= self.area[1]:
            raise ValueError(f"area: got {list(self.area)}; allowed: two shares, 0 < first <= last")
        return self


class Flip(Part):
    """Mirror left and right, with probability `p`."""

    kind: Literal["flip"]
    p: Share = 0.5


class Rotation(Part):
    """Turn by up to so many degrees either way."""

    kind: Literal["rotation"]
    degrees: Annotated[float, Field(gt=0, le=180)] = 10.0


class ColorJitter(Part):
    """Change brightness, contrast, saturation and hue by up to these shares."""

    kind: Literal["color_jitter"]
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0


class AutoAugment(Part):
    """A learnt policy. Source: Cubuk et al., CVPR 2019."""

    kind: Literal["auto_augment"]
    policy: Literal["cifar10", "imagenet", "svhn"] = "cifar10"


class RandAugment(Part):
    """So many random operations of one strength. Source: Cubuk et al., NeurIPS 2020."""

    kind: Literal["rand_augment"]
    operations: Annotated[int, Field(ge=1)] = 2
    magnitude: Annotated[int, Field(ge=0, le=30)] = 9


class TrivialAugment(Part):
    """One random operation of random strength. Source: Müller and Hutter, ICCV 2021."""

    kind: Literal["trivial_augment"]


class Cutout(Part):
    """Blacken a square of `side` pixels around a random pixel. Source: DeVries, 1708.04552."""

    kind: Literal["cutout"]
    side: Annotated[int, Field(ge=1)] = 16


NAMES = (
    "random_crop",
    "random_resized_crop",
    "flip",
    "rotation",
    "color_jitter",
    "auto_augment",
    "rand_augment",
    "trivial_augment",
    "cutout",
)
Kinds = (
    RandomCrop
    | RandomResizedCrop
    | Flip
    | Rotation
    | ColorJitter
    | AutoAugment
    | RandAugment
    | TrivialAugment
    | Cutout
)
Augmentation = Annotated[
    Annotated[Kinds, Field(discriminator="kind")],
    BeforeValidator(named("augmentation", *NAMES)),
    WithJsonSchema(schema(*NAMES)),
]

Change = Callable[["Tensor"], "Tensor"]


def augmented(pixels: Tensor, parts: Sequence[Kinds], seed: int) -> Tensor:
    """Every image changed by all `parts` in their order, each drawn anew.

    Touches no global generator.

    Args:
        pixels: uint8 (n, channels, height, width), on the CPU; left unchanged.
        parts: What is done.
        seed: All that is drawn comes from it.

    Returns:
        uint8, in the shape of `pixels`.
    """
    if not parts:
        return pixels
    size = (pixels.shape[-2], pixels.shape[-1])
    changes = [_change(part, size) for part in parts]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.stack([_changed(image, changes) for image in pixels])


def _changed(image: Tensor, changes: Sequence[Change]) -> Tensor:
    for change in changes:
        image = change(image)
    return image


def _change(part: Kinds, size: tuple[int, int]) -> Change:
    """What `part` does to one image of this size; draws from the global generator."""
    if isinstance(part, Cutout):
        return partial(_cut_out, part.side)
    from torchvision.transforms import v2

    options = part.model_dump(exclude={"kind"})
    match part:
        case RandomCrop():
            made = v2.RandomCrop(size, part.padding, padding_mode=part.fill)
        case RandomResizedCrop():
            made = v2.RandomResizedCrop(size, scale=part.area, antialias=True)
        case Flip():
            made = v2.RandomHorizontalFlip(**options)
        case Rotation():
            made = v2.RandomRotation(part.degrees, v2.InterpolationMode.BILINEAR)
        case ColorJitter():
            made = v2.ColorJitter(**options)
        case AutoAugment():
            made = v2.AutoAugment(v2.AutoAugmentPolicy(part.policy))
        case RandAugment():
            made = v2.RandAugment(part.operations, part.magnitude)
        case TrivialAugment():
            made = v2.TrivialAugmentWide()
    change: Change = made
    return change


def _cut_out(side: int, image: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    row, column = int(torch.randint(height, ())), int(torch.randint(width, ()))
    changed = image.clone()
    top, left = row - side // 2, column - side // 2
    changed[..., max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = 0
    return changed

"""Changes of training images, torchvision's transforms among them, fixed by a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from campaign.faults.streams import derived_seed
from campaign.lazy import torch
from campaign.training.choice import Part, named, schema

if TYPE_CHECKING:
    from torch import Tensor

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Range = tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], float]


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

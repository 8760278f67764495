"""A recipe: how a network is trained, as data."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from campaign.sources.cache import combined_digest
from campaign.training.augment import Augmentation
from campaign.training.choice import Part, named, schema

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Sgd(Part):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"]
    lr: Positive = 0.01
    momentum: NotNegative = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 0.0

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0, got momentum: 0")
        return self


class Adam(Part):
    """Adam, or AdamW, which keeps weight decay out of the moments."""

    kind: Literal["adam", "adamw"]
    lr: Positive = 1e-3
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NotNegative = 0.0


class Constant(Part):
    """The rate stays."""

    kind: Literal["constant"]


class Falling(Part):
    """The rate falls, along half a cosine or a line, to the share `to` of what it was."""

    kind: Literal["cosine", "linear"]
    to: Share = 0.0


class Steps(Part):
    """The rate is multiplied by `factor` at each of these shares of all epochs."""

    kind: Literal["steps"]
    at: tuple[Share, ...] = (0.4, 0.6, 0.8)
    factor: Positive = 0.1


class EarlyStop(Part):
    """Stop where the validation accuracy has not risen by more than `delta` for `patience` epochs.

    The best epoch is kept.

    Args:
        patience: How many epochs.
        delta: A share of all validation images.
    """

    patience: Annotated[int, Field(ge=1)] = 5
    delta: NotNegative = 0.0


OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "linear", "steps")

Optimizer = Annotated[
    Annotated[Sgd | Adam, Field(discriminator="kind")],
    BeforeValidator(named("optimizer", *OPTIMIZERS)),
    WithJsonSchema(schema(*OPTIMIZERS)),
]
Schedule = Annotated[
    Annotated[Constant | Falling | Steps, Field(discriminator="kind")],
    BeforeValidator(named("schedule", *SCHEDULES)),
    WithJsonSchema(schema(*SCHEDULES)),
]


class Recipe(Part):
    """All of a training but the network, the data, the methods and the seed.

    An epoch is as many whole batches as the training images fill; what is left over is another part
    of them in each epoch.

    Args:
        epochs: How often the images are gone through.
        batch_size: Images a step.
        optimizer: ``sgd``, ``adam`` or ``adamw``, with its options.
        schedule: How the rate changes with each step: ``constant``, ``cosine``, ``linear``,
            ``steps``.
        warmup_epochs: Epochs in which the rate rises along a line from 0; the schedule follows.
        augment: Transforms of the training images, in this order.
        label_smoothing: Share of the target that all classes have in common.
        gradient_clip: Largest norm of all gradients together; None for any.
        precision: ``fp32``, or ``bf16``: convolutions and matrix products in numbers of 16 bits.
        early_stop: When to stop before the last epoch; None is never.
        validation_images: Training images that are held out and judged after each epoch.
    """

    epochs: Annotated[int, Field(ge=1)] = 5
    batch_size: Annotated[int, Field(ge=1)] = 128
    optimizer: Optimizer = Sgd(kind="sgd")
    schedule: Schedule = Falling(kind="cosine")
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    augment: tuple[Augmentation, ...] = ()
    label_smoothing: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    gradient_clip: Positive | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    early_stop: EarlyStop | None = None
    validation_images: Annotated[int, Field(ge=0)] = 500

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.early_stop is not None and not self.validation_images:
            raise ValueError("early_stop needs validation_images above 0, got 0")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs must be below epochs, got {self.warmup_epochs} of {self.epochs}"
            )
        return self

    @property
    def digest(self) -> str:
        """sha256 (hex) of what is not as by default."""
        return combined_digest(self.model_dump(mode="json", exclude_defaults=True))

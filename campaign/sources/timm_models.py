"""Networks of timm, with its published weights or your own; timm is an optional dependency."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from campaign.errors import SetupError
from campaign.sources.base import MODELS, ModelSource, Preprocess
from campaign.sources.cache import combined_digest, file_digest
from campaign.sources.checkpoints import arrays_digest, as_arrays, fit_names, read_checkpoint
from campaign.sources.networks import quiet_rng

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn


@MODELS.register
@dataclass(frozen=True)
class TimmModel(ModelSource):
    """A network of timm: ``timm/resnet50.a1_in1k``, in timm's own evaluation preprocessing.

    Needs ``pip install "fault-campaign[timm]"``. Images have the size of training (``input_size``),
    not the larger one that timm may name for testing.

    Args:
        architecture: Stated by the name, with timm's tag of the weights or without.
        checkpoint: Your own weight file; None downloads timm's.
        num_classes: Outputs, with `checkpoint`; None leaves timm's number.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "timm/{architecture}"
    pattern: ClassVar[str] = r"timm/(?P<architecture>[A-Za-z0-9_.-]+)"
    example: ClassVar[str] = "timm/resnet50.a1_in1k"

    architecture: str
    checkpoint: str | None = None
    num_classes: Annotated[int, Field(ge=1)] | None = None

    def __post_init__(self) -> None:
        if self.num_classes is not None and self.checkpoint is None:
            raise ValueError("num_classes needs a checkpoint: timm's own weights fix the number")

    @property
    def label(self) -> str:
        return self.architecture

    @property
    def preprocess(self) -> Preprocess:
        timm = self._timm()
        try:
            config = timm.models.get_pretrained_cfg(self.architecture)
        except RuntimeError as error:
            raise SetupError(f"model timm/{self.architecture}: {error}") from None
        return timm_preprocess(self.architecture, config.to_dict() if config else {})

    def digest(self) -> str:
        if self.checkpoint is not None:
            held = file_digest(Path(self.checkpoint), "set the model's checkpoint")
        else:
            held = arrays_digest(self.state())
        return combined_digest("timm", self.architecture, self.num_classes, held)

    def state(self) -> dict[str, NDArray[np.generic]]:
        if self.checkpoint is None:
            return as_arrays(self._create(pretrained=True).state_dict())
        path = Path(self.checkpoint)
        return as_arrays(fit_names(read_checkpoint(path), self.build(), path=path))

    def build(self) -> nn.Module:
        return self._create(pretrained=False)

    def _create(self, *, pretrained: bool) -> nn.Module:
        timm = self._timm()
        options = {} if self.num_classes is None else {"num_classes": self.num_classes}
        try:
            with quiet_rng():
                model: nn.Module = timm.create_model(
                    self.architecture, pretrained=pretrained, **options
                )
        except (OSError, RuntimeError) as error:
            raise SetupError(
                f"model timm/{self.architecture}: {error}; offline, give a file as checkpoint"
            ) from None
        model.eval()
        return model

    def _timm(self) -> ModuleType:
        if importlib.util.find_spec("timm") is None:
            raise SetupError(
                f"model timm/{self.architecture}: timm is missing; "
                'pip install "fault-campaign[timm]"'
            )
        import timm

        if not timm.is_model(self.architecture):
            raise SetupError(
                f"model timm/{self.architecture}: timm {timm.__version__} has no such network; "
                "see timm.list_models()"
            )
        found: ModuleType = timm
        return found


def timm_preprocess(architecture: str, config: Mapping[str, Any]) -> Preprocess:
    """What a pretrained configuration of timm says of evaluation.

    Args:
        architecture: For messages.
        config: ``input_size``, ``crop_pct``, ``crop_mode``, ``interpolation``, ``mean``, ``std``.

    Raises:
        SetupError: If the images are not square, or `crop_mode` is not ``center``.

    Example:
        >>> timm_preprocess("x", {"input_size": (3, 224, 224), "crop_pct": 0.95}).resize
        235
    """
    channels, height, width = config.get("input_size", (3, 224, 224))
    mode = config.get("crop_mode", "center")
    if height != width or channels not in (1, 3) or mode != "center":
        raise SetupError(
            f"model timm/{architecture}: input {channels}x{height}x{width}, crop_mode {mode}; "
            "allowed: square images of 1 or 3 channels and crop_mode center"
        )
    return Preprocess(
        resize=math.floor(height / config.get("crop_pct", 0.875)),
        crop=height,
        interpolation=config.get("interpolation", "bicubic"),
        mean=tuple(config.get("mean", (0.485, 0.456, 0.406))),
        std=tuple(config.get("std", (0.229, 0.224, 0.225))),
    )

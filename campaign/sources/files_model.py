"""Your own weights, loaded into an architecture that is known or yours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.errors import SetupError
from campaign.sources.base import MODELS, ModelSource, Preprocess
from campaign.sources.cache import combined_digest, file_digest
from campaign.sources.checkpoints import as_arrays, fit_names, read_checkpoint
from campaign.sources.known import known_macs, known_scalars
from campaign.sources.networks import (
    architecture_digest,
    build_network,
    check_architecture,
    is_callable,
)
from campaign.sources.normalization import Normalization, parse_normalization, preprocess_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

Interpolation = Literal["bilinear", "bicubic", "nearest"]
Pixels = Annotated[int, Field(ge=1)]


@MODELS.register
@dataclass(frozen=True)
class FilesModel(ModelSource):
    """A network from a weight file: .safetensors, .pt or .pth.

    Weights that lie as codes of a product quantiser, or as int8 with a scale per output channel
    (``X.weight_int8``, ``X.scale``, ``X.bias``), are read as the float32 that they stand for.

    Args:
        weights: The file. Pickles are read without running code from them.
        architecture: A name such as ``cifar_resnet20``, ``torchvision/<name>``,
            ``module:callable`` or ``file.py:callable``.
        normalize: ``imagenet``, ``cifar10``, ``cifar100``, ``half`` (mean and std 0.5), ``none``
            (raw pixels 0..255), or ``{mean: [...], std: [...]}``: as in training.
        num_classes: Outputs; None leaves the architecture's own number.
        resize: Length of the shorter side in pixels; None leaves the size.
        crop: Side of the central square in pixels; None leaves the size.
        interpolation: ``bilinear``, ``bicubic`` or ``nearest``.
        key: Where in the file the tensors are; None finds the usual places.
        prefix: What to take off each name; ``module.`` is taken off anyway.
        padding: ``same`` lets convolutions of stride 2 and more that pad with zeros pad as
            TensorFlow's SAME does, for weights from there; None leaves them as built.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "files"

    weights: str
    architecture: str
    normalize: Normalization
    num_classes: Pixels | None = None
    resize: Pixels | None = None
    crop: Pixels | None = None
    interpolation: Interpolation = "bilinear"
    key: str | None = None
    prefix: str = ""
    padding: Literal["same"] | None = None

    def __post_init__(self) -> None:
        check_architecture(self.architecture)
        parse_normalization(self.normalize)

    @property
    def label(self) -> str:
        return Path(self.weights).stem

    @property
    def preprocess(self) -> Preprocess:
        return preprocess_of(
            self.normalize,
            resize=self.resize,
            crop=self.crop,
            interpolation=self.interpolation,
        )

    @property
    def runs_code(self) -> str | None:
        return self.architecture if is_callable(self.architecture) else None

    def digest(self) -> str:
        into = architecture_digest(self.architecture, self.num_classes)
        held = file_digest(Path(self.weights), "set the model's weights")
        padded = () if self.padding is None else (f"padding {self.padding}",)
        return combined_digest(into, held, self.key, self.prefix, *padded)

    def state(self) -> dict[str, NDArray[np.generic]]:
        path = Path(self.weights)
        tensors = read_checkpoint(path, self.key)
        return as_arrays(fit_names(tensors, self.build(), path=path, prefix=self.prefix))

    def build(self) -> nn.Module:
        model = build_network(self.architecture, self.num_classes)
        return model if self.padding is None else self._padded(model)

    def parameter_counts(self) -> Mapping[str, int] | None:
        return known_scalars(self.architecture, self.num_classes)

    def macs(self) -> int | None:
        return known_macs(self.architecture)

    def _padded(self, model: nn.Module) -> nn.Module:
        from campaign.networks.same_padding import pad_same

        if pad_same(model) == 0:
            raise SetupError(
                f"padding: same: {self.architecture} has no Conv2d of stride 2 or more that pads "
                "with zeros; leave padding out"
            )
        return model

"""Networks that torchvision publishes with their ImageNet weights."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict

from campaign.errors import SetupError
from campaign.sources.base import MODELS, ModelSource, Preprocess
from campaign.sources.cache import combined_digest, file_digest
from campaign.sources.checkpoints import as_arrays
from campaign.sources.known import known_macs, known_scalars
from campaign.sources.networks import (
    WITH_AUXILIARY_CLASSIFIERS,
    architecture_digest,
    build_network,
    quiet_rng,
)
from campaign.sources.torchvision_weights import CATALOGUE, PublishedWeights, published

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn


@MODELS.register
@dataclass(frozen=True)
class TorchvisionModel(ModelSource):
    """A torchvision classification network with published weights and their own preprocessing.

    The weight file is looked for in the folder of torch.hub (``$TORCH_HOME/hub/checkpoints``) and
    downloaded if it is not there. Auxiliary classifiers are left out.

    Args:
        architecture: Stated by the name, as in ``torchvision/resnet18``.
        weights: Such as ``IMAGENET1K_V1``; ``DEFAULT`` are the best there are.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "torchvision/{architecture}"
    pattern: ClassVar[str] = r"torchvision/(?P<architecture>[A-Za-z0-9_]+)"
    example: ClassVar[str] = "torchvision/resnet18"

    architecture: str
    weights: str = "DEFAULT"

    @classmethod
    def members(cls) -> list[str]:
        """Every name of the family."""
        return [f"torchvision/{architecture}" for architecture in CATALOGUE]

    def __post_init__(self) -> None:
        published(self.architecture, self.weights)

    @property
    def label(self) -> str:
        return self.architecture

    @property
    def preprocess(self) -> Preprocess:
        held = self._published
        return Preprocess(held.resize, held.crop, held.interpolation, 255.0, held.mean, held.std)

    def digest(self) -> str:
        into = architecture_digest(self._published.architecture, None)
        return combined_digest(into, file_digest(self._file()))

    def state(self) -> dict[str, NDArray[np.generic]]:
        from torchvision import models

        self._file()
        auxiliary = self.architecture in WITH_AUXILIARY_CLASSIFIERS
        with quiet_rng():
            model = models.get_model(
                self.architecture,
                weights=self._published.name,
                **({"aux_logits": False} if auxiliary else {}),
            )
        return as_arrays(model.state_dict())

    def build(self) -> nn.Module:
        model = build_network(self._published.architecture)
        if self.architecture in WITH_AUXILIARY_CLASSIFIERS:
            # These two were trained elsewhere and undo torchvision's normalisation themselves.
            model.transform_input = True  # type: ignore[assignment]
        return model

    def parameter_counts(self) -> Mapping[str, int] | None:
        return known_scalars(self._published.architecture)

    def macs(self) -> int | None:
        return known_macs(self._published.architecture)

    @property
    def _published(self) -> PublishedWeights:
        return published(self.architecture, self.weights)

    def _file(self) -> Path:
        """The weight file in the folder of torch.hub, downloaded if need be."""
        path = checkpoints_folder() / self._published.file
        if not path.exists():
            _download(self.architecture, self._published.name, path)
        return path


def checkpoints_folder() -> Path:
    """Where torch.hub keeps weight files; the same rule as torch.hub, without importing torch."""
    shared = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", str(Path(shared) / "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def _download(architecture: str, weights: str, path: Path) -> None:
    import torch
    from torchvision import models

    member = models.get_model_weights(architecture)[weights]
    stated = re.search(r"-([0-9a-f]{8,})\.pth$", path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            member.url, str(path), hash_prefix=stated[1] if stated else None, progress=False
        )
    except (OSError, RuntimeError) as error:
        raise SetupError(
            f"model torchvision/{architecture}: the weights {weights} are not here and cannot be "
            f"downloaded ({error}); fetch {member.url} and put it at {path}"
        ) from None

"""What every source of a model or of a dataset does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from campaign.lazy import np
from campaign.registry import Registry

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn


@dataclass(frozen=True)
class Preprocess:
    """How stored pixels become network input: geometry on the host, normalisation on the device.

    Geometry (resize of the shorter side, then centre crop) is done once on the decoded image and
    gives uint8; then ``x = (pixel / divisor - mean) / std`` in float32, per channel.

    Args:
        resize: Length of the shorter side in pixels; None leaves the size.
        crop: Side of the central square in pixels; None leaves the size.
        interpolation: ``bilinear``, ``bicubic`` or ``nearest`` (PIL, antialiased).
        divisor: What a pixel is divided by first, 255 for images in [0, 1].
        mean: Per channel, or one value for all.
        std: Per channel, or one value for all.
    """

    resize: int | None = None
    crop: int | None = None
    interpolation: str = "bilinear"
    divisor: float = 255.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


class Images(NamedTuple):
    """A test set in memory."""

    pixels: NDArray[np.uint8]
    """(n, channels, height, width)."""
    labels: NDArray[np.int64]
    """(n,)."""


class ModelSource(ABC):
    """A trained network: a frozen dataclass whose fields are its options.

    Constructing one reads no file and imports no torch. A missing or unreadable file raises
    SetupError with its path and what to do.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def label(self) -> str:
        """The name in rows and figures, unless the spec gives another."""

    @property
    @abstractmethod
    def preprocess(self) -> Preprocess:
        """What the network expects of its input; needs no files."""

    @abstractmethod
    def digest(self) -> str:
        """sha256 (hex) of the weights and of what they are loaded into; may train or download."""

    @abstractmethod
    def state(self) -> dict[str, NDArray[np.generic]]:
        """The state dict as numpy arrays, in the names of `build`."""

    @abstractmethod
    def build(self) -> nn.Module:
        """The architecture in eval mode on the CPU; its weights are overwritten by `state`."""

    @property
    def runs_code(self) -> str | None:
        """Where code lies that is not ours and that `build` runs; None where there is none."""
        return None

    def parameter_counts(self) -> Mapping[str, int] | None:
        """Scalars by kind (weights, biases, norms, other), without torch; None if not known."""
        return None

    def macs(self) -> int | None:
        """Multiply-adds of one image, without torch; None if not known."""
        return None


class DatasetSource(ABC):
    """A labelled test set: a frozen dataclass whose fields are its options.

    Constructing one reads no file and imports no torch. A missing or unreadable file raises
    SetupError with its path and what to do.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def label(self) -> str:
        """The name in rows and figures, unless the spec gives another."""

    @abstractmethod
    def digest(self) -> str:
        """sha256 (hex) of the images and labels as stored."""

    @abstractmethod
    def images(self, preprocess: Preprocess) -> Images:
        """Every image after the geometry of `preprocess` (not normalised), and the labels."""

    def size(self) -> int | None:
        """How many images there are, where that is known without reading them."""
        return None


MODELS: Registry[ModelSource] = Registry("model", "campaign.sources", "campaign.models")
DATASETS: Registry[DatasetSource] = Registry("dataset", "campaign.sources", "campaign.datasets")

"""Fashion-MNIST: grey images of 28x28 pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from campaign.errors import SetupError
from campaign.lazy import np
from campaign.sources.base import DATASETS, DatasetSource, Images, Preprocess
from campaign.sources.cache import combined_digest, file_digests
from campaign.sources.downloads import fetch
from campaign.sources.geometry import fit_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray


FOLDER = "FashionMNIST/raw"
PREFIXES = {"test": "t10k", "train": "train"}


@DATASETS.register
@dataclass(frozen=True)
class FashionMnist(DatasetSource):
    """The Fashion-MNIST test set, as torchvision lays it out: ``<root>/FashionMNIST/raw``.

    Source: Xiao et al., arXiv 1708.07747.

    Args:
        root: Folder that holds ``FashionMNIST``.
        download: Fetch it with torchvision if it is not there.
        split: The 10,000 ``test`` images, or the 60,000 ``train`` images, for trainings.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "fashion_mnist"

    root: str = "data"
    download: bool = False
    split: Literal["test", "train"] = "test"

    @property
    def label(self) -> str:
        return self.name if self.split == "test" else f"{self.name}(split=train)"

    def digest(self) -> str:
        return combined_digest(self.name, file_digests(self._files()))

    def images(self, preprocess: Preprocess) -> Images:
        pixels, labels = (_read_idx(path) for path in self._files())
        return Images(fit_pixels(pixels[:, np.newaxis], preprocess), labels.astype(np.int64))

    def size(self) -> int | None:
        return 10_000 if self.split == "test" else 60_000

    def _files(self) -> list[Path]:
        parts, prefix = ("images-idx3-ubyte", "labels-idx1-ubyte"), PREFIXES[self.split]
        paths = [Path(self.root) / FOLDER / f"{prefix}-{part}" for part in parts]
        for path in paths:
            if not path.exists():
                fetch("FashionMNIST", self.root, missing=path, download=self.download)
        return paths


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """An IDX file of bytes: magic 0, 0, 8, dimensions; their sizes, big endian; the data."""
    content = path.read_bytes()
    dimensions = content[3] if content[:3] == b"\0\0\x08" and len(content) > 4 else 0
    start = 4 + 4 * dimensions
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], ">u4")) if dimensions else ()
    if not shape or len(content) - start != np.prod(shape):
        raise SetupError(f"{path} is no complete IDX file of bytes; fetch it anew")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)

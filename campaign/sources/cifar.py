"""CIFAR-10 and CIFAR-100: 10,000 test images of 32x32 pixels, from the published archives."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from campaign.errors import SetupError
from campaign.lazy import np
from campaign.sources.base import DATASETS, DatasetSource, Images, Preprocess
from campaign.sources.cache import combined_digest, file_digest
from campaign.sources.downloads import fetch
from campaign.sources.geometry import fit_pixels

TEST_IMAGES = 10_000


@DATASETS.register
@dataclass(frozen=True)
class Cifar10(DatasetSource):
    """The CIFAR-10 test set, as torchvision lays it out: ``<root>/cifar-10-batches-py/test_batch``.

    Args:
        root: Folder that holds ``cifar-10-batches-py``.
        download: Fetch it with torchvision if it is not there.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "cifar10"
    archive: ClassVar[str] = "CIFAR10"
    batch: ClassVar[str] = "cifar-10-batches-py/test_batch"
    label_key: ClassVar[str] = "labels"

    root: str = "data"
    download: bool = False

    @property
    def label(self) -> str:
        return self.name

    def digest(self) -> str:
        return combined_digest(self.name, file_digest(self._file()))

    def images(self, preprocess: Preprocess) -> Images:
        path = self._file()
        held = _unpickle(path)
        try:
            pixels = np.asarray(held["data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
            labels = np.asarray(held[self.label_key], dtype=np.int64)
        except (KeyError, TypeError, ValueError) as error:
            raise SetupError(f"dataset {self.name}: {path} is no test batch ({error!r})") from None
        return Images(fit_pixels(pixels, preprocess), labels)

    def size(self) -> int | None:
        return TEST_IMAGES

    def _file(self) -> Path:
        path = Path(self.root) / self.batch
        if not path.exists():
            fetch(self.archive, self.root, missing=path, download=self.download)
        return path


@DATASETS.register
@dataclass(frozen=True)
class Cifar100(Cifar10):
    """The CIFAR-100 test set with its 100 fine labels: ``<root>/cifar-100-python/test``.

    Args:
        root: Folder that holds ``cifar-100-python``.
        download: Fetch it with torchvision if it is not there.
    """

    name: ClassVar[str] = "cifar100"
    archive: ClassVar[str] = "CIFAR100"
    batch: ClassVar[str] = "cifar-100-python/test"
    label_key: ClassVar[str] = "fine_labels"


class _ArraysOnly(pickle.Unpickler):
    """Reads the pickles of the archives, which hold arrays and lists; runs no other code."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        if (module.removeprefix("numpy.").removeprefix("_"), name) == (
            "core.multiarray",
            "_reconstruct",
        ):
            return np.empty(0).__reduce__()[0]
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place in CIFAR")


def _unpickle(path: Path) -> dict[str, Any]:
    try:
        held = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError) as error:
        raise SetupError(f"{path} is no CIFAR batch: {error}; fetch it anew") from None
    if not isinstance(held, dict):
        raise SetupError(f"{path} is no CIFAR batch: {type(held).__name__}; fetch it anew")
    return held

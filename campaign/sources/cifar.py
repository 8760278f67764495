"""CIFAR-10 and CIFAR-100: images of 32x32 pixels, from the published archives."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from campaign.errors import SetupError
from campaign.lazy import np
from campaign.sources.base import DATASETS, DatasetSource, Images, Preprocess
from campaign.sources.cache import combined_digest, file_digests
from campaign.sources.downloads import fetch
from campaign.sources.geometry import fit_pixels

TEST_IMAGES, TRAIN_IMAGES = 10_000, 50_000


@DATASETS.register
@dataclass(frozen=True)
class Cifar10(DatasetSource):
    """The CIFAR-10 test set, as torchvision lays it out: ``<root>/cifar-10-batches-py/test_batch``.

    Args:
        root: Folder that holds ``cifar-10-batches-py``.
        download: Fetch it with torchvision if it is not there.
        split: The 10,000 ``test`` images, or the 50,000 ``train`` images, for trainings.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "cifar10"
    archive: ClassVar[str] = "CIFAR10"
    batches: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "test": ("cifar-10-batches-py/test_batch",),
        "train": tuple(f"cifar-10-batches-py/data_batch_{place}" for place in range(1, 6)),
    }
    label_key: ClassVar[str] = "labels"

    root: str = "data"
    download: bool = False
    split: Literal["test", "train"] = "test"

    @property
    def label(self) -> str:
        return self.name if self.split == "test" else f"{self.name}(split=train)"

    def digest(self) -> str:
        return combined_digest(self.name, *file_digests(self._files()))

    def images(self, preprocess: Preprocess) -> Images:
        parts = [self._read(path) for path in self._files()]
        pixels, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Images(fit_pixels(pixels, preprocess), labels)

    def size(self) -> int | None:
        return TEST_IMAGES if self.split == "test" else TRAIN_IMAGES

    def _read(self, path: Path) -> Images:
        held = _unpickle(path)
        try:
            pixels = np.asarray(held["data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
            labels = np.asarray(held[self.label_key], dtype=np.int64)
        except (KeyError, TypeError, ValueError) as error:
            raise SetupError(f"dataset {self.name}: {path} is no batch ({error!r})") from None
        return Images(pixels, labels)

    def _files(self) -> list[Path]:
        paths = [Path(self.root) / name for name in self.batches[self.split]]
        for path in paths:
            if not path.exists():
                fetch(self.archive, self.root, missing=path, download=self.download)
        return paths


@DATASETS.register
@dataclass(frozen=True)
class Cifar100(Cifar10):
    """The CIFAR-100 test set with its 100 fine labels: ``<root>/cifar-100-python/test``.

    Args:
        root: Folder that holds ``cifar-100-python``.
        download: Fetch it with torchvision if it is not there.
        split: The 10,000 ``test`` images, or the 50,000 ``train`` images, for trainings.
    """

    name: ClassVar[str] = "cifar100"
    archive: ClassVar[str] = "CIFAR100"
    batches: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "test": ("cifar-100-python/test",),
        "train": ("cifar-100-python/train",),
    }
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

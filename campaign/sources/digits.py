"""The handwritten digits that scikit-learn ships: 1,797 grey images of 8x8 pixels."""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from campaign.errors import SetupError
from campaign.lazy import np
from campaign.registry import changed_options, describe
from campaign.sources.base import DATASETS, DatasetSource, Images, Preprocess
from campaign.sources.geometry import fit_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray


TRAIN_IMAGES = 1197
TEST_IMAGES = 600
DIGITS_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
"""Of scikit-learn's digits.csv.gz, which has not changed since it was added."""


@DATASETS.register
@dataclass(frozen=True)
class Digits(DatasetSource):
    """600 test images of scikit-learn's digits, pixels 0..16, one channel; nothing to download.

    The other 1,197 train ``digits_cnn``; the split is a fixed permutation.
    Source: Alpaydin and Kaynak, UCI Machine Learning Repository, 1998.

    Args:
        split: The ``test`` images, or the ``train`` images, for trainings and profiles.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "digits"

    split: Literal["test", "train"] = "test"

    @property
    def label(self) -> str:
        return describe(self.name, changed_options(self))

    def digest(self) -> str:
        text = f"digits {self.split} {self.size()} {DIGITS_SHA256}"
        return hashlib.sha256(text.encode()).hexdigest()

    def images(self, preprocess: Preprocess) -> Images:
        pixels, labels = digits(self.split)
        return Images(fit_pixels(pixels, preprocess), labels)

    def size(self) -> int:
        return TEST_IMAGES if self.split == "test" else TRAIN_IMAGES


def digits(split: Literal["train", "test"]) -> Images:
    """One part of the digits: pixels uint8, (n, 1, 8, 8), 0..16.

    Raises:
        SetupError: If scikit-learn does not have them, or has others.
    """
    pixels, labels = _all_digits()
    order = _permutation(len(labels))
    chosen = order[:TRAIN_IMAGES] if split == "train" else order[TRAIN_IMAGES:]
    return Images(pixels[chosen], labels[chosen])


def _permutation(count: int) -> NDArray[np.int64]:
    """A fixed order that depends on no library's generator."""
    keys = [hashlib.sha256(b"digits %d" % place).digest() for place in range(count)]
    return np.array(sorted(range(count), key=keys.__getitem__), dtype=np.int64)


@functools.cache
def _all_digits() -> Images:
    # Read as a file: importing scikit-learn takes longer than a whole small campaign.
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise SetupError("dataset digits: scikit-learn is missing; pip install scikit-learn")
    path = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != DIGITS_SHA256:
        raise SetupError(f"dataset digits: {path} is missing or another file; reinstall it")
    table = np.loadtxt(gzip.decompress(content).decode().splitlines(), np.uint8, delimiter=",")
    return Images(table[:, :64].reshape(-1, 1, 8, 8), table[:, 64].astype(np.int64))

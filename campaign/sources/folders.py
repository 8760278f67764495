"""Images in folders, one folder for each class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from pydantic import ConfigDict

from campaign.errors import SetupError
from campaign.lazy import np
from campaign.sources.base import DATASETS, DatasetSource, Images, Preprocess
from campaign.sources.cache import combined_digest, tree_digest
from campaign.sources.decode import Color, Encoded, ImageSet, decode

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"))
"""The kinds of files that count as images; others are passed over."""
IMAGENET_CLASSES = 1000
VALIDATION_IMAGES = 50_000


class Labelled(NamedTuple):
    """An image file and the rank of its class folder."""

    path: Path
    label: int


class ClassFolders(NamedTuple):
    """A folder of class folders, read once."""

    folder: Path
    classes: list[str]
    files: list[Labelled]

    def digest(self, color: str) -> str:
        """sha256 (hex) of contents, relative paths and class names."""
        content = tree_digest(self.folder, (file.path for file in self.files))
        return combined_digest(self.classes, content, color)

    def images(self, preprocess: Preprocess, color: Color) -> Images:
        """Every image, ordered by class and name, and its label."""

        def encoded() -> Iterator[Encoded]:
            return (Encoded(str(file.path), file.path) for file in self.files)

        labels = np.array([file.label for file in self.files], dtype=np.int64)
        stored = ImageSet(self.digest(color), len(self.files), encoded, color)
        return Images(decode(stored, preprocess), labels)


def class_folders(folder: Path) -> ClassFolders:
    """The class folders of `folder`; a label is the rank of the folder's name.

    Raises:
        SetupError: If there is no folder, or no image in it.
    """
    if not folder.is_dir():
        raise SetupError(f"{folder}: no such folder; set the dataset's root")
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [
        Labelled(path, rank)
        for rank, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]
    if not files:
        raise SetupError(
            f"{folder}: no images in folders of classes; expected {folder}/<class>/<image>, of the "
            f"kinds {', '.join(sorted(SUFFIXES))}"
        )
    return ClassFolders(folder, classes, files)


@DATASETS.register
@dataclass(frozen=True)
class ImageFolder(DatasetSource):
    """A folder with one folder of images for each class; labels by the sorted folder names.

    Args:
        root: The folder that holds the class folders.
        color: What images are converted to, ``rgb`` or ``grey``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "image_folder"

    root: str
    color: Color = "rgb"

    @property
    def label(self) -> str:
        return Path(self.root).name

    def digest(self) -> str:
        return class_folders(Path(self.root)).digest(self.color)

    def images(self, preprocess: Preprocess) -> Images:
        return class_folders(Path(self.root)).images(preprocess, self.color)


@DATASETS.register
@dataclass(frozen=True)
class ImageNet(DatasetSource):
    """The ILSVRC2012 validation set in class folders: ``<root>/val/<wnid>/*.JPEG``.

    That is the layout of torchvision's ``ImageNet`` and of the usual sorting script. Labels are the
    ranks of the sorted wnids, as torchvision's networks number them. The decoded images are kept
    in the cache folder: about 7.5 GB for 50,000 images of 224x224.

    Args:
        root: The folder that holds ``val``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "imagenet"

    root: str = "data/imagenet"

    @property
    def label(self) -> str:
        return self.name

    def digest(self) -> str:
        return self._folders().digest("rgb")

    def images(self, preprocess: Preprocess) -> Images:
        return self._folders().images(preprocess, "rgb")

    def size(self) -> int | None:
        return VALIDATION_IMAGES

    def _folders(self) -> ClassFolders:
        found = class_folders(Path(self.root) / "val")
        if len(found.classes) != IMAGENET_CLASSES:
            raise SetupError(
                f"{found.folder}: {len(found.classes)} class folders, ImageNet has "
                f"{IMAGENET_CLASSES}; labels are ranks of their names, so all must be there (they "
                "may be empty); for other classes use image_folder"
            )
        return found

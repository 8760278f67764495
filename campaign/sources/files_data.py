"""A test set in one file, .npz or .parquet, or in class folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict

from campaign.errors import SetupError
from campaign.lazy import np
from campaign.sources.base import DATASETS, DatasetSource, Images, Preprocess
from campaign.sources.cache import combined_digest, file_digest
from campaign.sources.decode import Color, Encoded, ImageSet, decode
from campaign.sources.folders import class_folders
from campaign.sources.geometry import fit_pixels

if TYPE_CHECKING:
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

ROWS = 256
"""Rows of a Parquet file that are in memory at a time."""


@DATASETS.register
@dataclass(frozen=True)
class FilesDataset(DatasetSource):
    """Your own test set: a .npz, a .parquet, or a folder of class folders.

    A .npz holds ``images``, uint8, (n, h, w), (n, h, w, c) or (n, c, h, w) with 1 or 3 channels,
    and ``labels``, integers, (n,). A .parquet holds a column ``image`` of encoded images (bytes, or
    a struct with ``bytes``, as dataset hubs use) and a column ``label``.

    Args:
        path: The file or folder.
        image_key: Name of the images; None is ``images`` in a .npz, ``image`` in a .parquet.
        label_key: Name of the labels; None is ``labels`` or ``label``.
        color: What encoded images are converted to, ``rgb`` or ``grey``; arrays stay as they are.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "files"

    path: str
    image_key: str | None = None
    label_key: str | None = None
    color: Color = "rgb"

    @property
    def label(self) -> str:
        return Path(self.path).stem

    def digest(self) -> str:
        path = Path(self.path)
        if path.is_dir():
            return class_folders(path).digest(self.color)
        advice = "set the dataset's path"
        return combined_digest(file_digest(path, advice), *self._names(), self.color)

    def images(self, preprocess: Preprocess) -> Images:
        path = Path(self.path)
        if path.is_dir():
            return class_folders(path).images(preprocess, self.color)
        images_name, labels_name = self._names()
        if path.suffix == ".npz":
            pixels, labels = read_npz(path, images_name, labels_name)
            return Images(fit_pixels(pixels, preprocess), labels)
        if path.suffix != ".parquet":
            raise SetupError(f"{path}: allowed: .npz, .parquet, or a folder of class folders")
        return self._from_parquet(path, preprocess)

    def size(self) -> int | None:
        """The rows that the end of a Parquet file tells, where there is one."""
        path = Path(self.path)
        if path.suffix != ".parquet" or not path.is_file():
            return None
        try:
            with open_parquet(path, *self._names()) as table:
                return int(table.metadata.num_rows)
        except SetupError:
            return None

    def _names(self) -> tuple[str, str]:
        plural = "s" if self.path.endswith(".npz") else ""
        return self.image_key or f"image{plural}", self.label_key or f"label{plural}"

    def _from_parquet(self, path: Path, preprocess: Preprocess) -> Images:
        images_name, labels_name = self._names()
        with open_parquet(path, images_name, labels_name) as table:
            count = table.metadata.num_rows
            held = table.read([labels_name]).column(labels_name).to_numpy()
        labels = checked_labels(path, labels_name, held, count)

        def encoded() -> Iterator[Encoded]:
            return encoded_images(path, images_name)

        stored = ImageSet(self.digest(), count, encoded, self.color)
        return Images(decode(stored, preprocess), labels)


def read_npz(path: Path, images: str, labels: str) -> Images:
    """The arrays of a .npz as (n, c, h, w) and (n,)."""
    try:
        with np.load(path) as held:
            names = list(held)
            for name in (images, labels):
                if name not in names:
                    raise SetupError(f"{path}: no array {name!r}; it holds {', '.join(names)}")
            pixels, classes = held[images], held[labels]
    except (OSError, ValueError) as error:
        raise SetupError(f"{path}: {error}") from None
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or not len(pixels):
        raise SetupError(
            f"{path}: {images} is {pixels.dtype} {pixels.shape}; allowed: uint8 (n, h, w), "
            "(n, h, w, c) or (n, c, h, w)"
        )
    return Images(channels_first(pixels, path), checked_labels(path, labels, classes, len(pixels)))


def channels_first(pixels: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """Pixels as (n, c, h, w); the side of 1 or 3 is the channels, the second before the last."""
    if pixels.ndim == 3:
        return pixels[:, np.newaxis]
    if pixels.shape[1] in (1, 3):
        return pixels
    if pixels.shape[3] in (1, 3):
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    raise SetupError(f"{path}: images of shape {pixels.shape[1:]} have no side of 1 or 3 channels")


def checked_labels(path: Path, name: str, labels: Any, count: int) -> NDArray[np.int64]:  # noqa: ANN401
    """Labels as int64, (n,); raises SetupError if they are not one class number per image."""
    held = np.asarray(labels)
    if held.dtype.kind not in "iu" or held.shape != (count,) or (count and held.min() < 0):
        raise SetupError(
            f"{path}: {name} is {held.dtype} {held.shape} for {count} images; allowed: one integer "
            "from 0 up for each"
        )
    return held.astype(np.int64)


def open_parquet(path: Path, *columns: str) -> pq.ParquetFile:
    """An open Parquet file that has `columns`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise SetupError(f"{path}: {error}") from None
    names = table.schema_arrow.names
    for column in columns:
        if column not in names:
            table.close()
            raise SetupError(f"{path}: no column {column!r}; it holds {', '.join(names)}")
    return table


def encoded_images(path: Path, column: str) -> Iterator[Encoded]:
    """The encoded images of a Parquet column, a few rows in memory at a time."""
    with open_parquet(path, column) as table:
        row = 0
        for batch in table.iter_batches(ROWS, columns=[column]):
            for held in batch.column(0).to_pylist():
                content = held.get("bytes") if isinstance(held, dict) else held
                if not isinstance(content, bytes):
                    raise SetupError(
                        f"{path}: row {row} of {column!r} holds no encoded image "
                        f"({type(content).__name__}); allowed: bytes, or a struct with bytes"
                    )
                yield Encoded(f"{path}: row {row}", content)
                row += 1

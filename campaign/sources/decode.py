"""Encoded images -> one uint8 array, by several threads, kept in the cache where it took long."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from campaign.errors import SetupError
from campaign.lazy import np
from campaign.sources.base import Preprocess
from campaign.sources.cache import cache_folder, combined_digest, write_atomically
from campaign.sources.geometry import fit_image, to_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray


Color = Literal["rgb", "grey"]
MOST_UNCACHED = 2000
"""Up to this many images are decoded anew each time."""
CHUNK = 256
"""Images in flight: bounds the memory beside the result."""


class Encoded(NamedTuple):
    """An image as stored."""

    name: str
    """Where it is, for messages."""
    content: bytes | Path
    """The file, or its bytes."""


@dataclass(frozen=True)
class ImageSet:
    """Encoded images that can be gone through again."""

    digest: str
    count: int
    images: Callable[[], Iterable[Encoded]]
    color: Color = "rgb"


def decode(images: ImageSet, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Every image after the geometry of `preprocess`.

    Many images are kept in the cache folder and mapped from there: the array is then read-only.

    Returns:
        uint8, (n, 1 or 3, height, width), 1 for the colour ``grey``.

    Raises:
        SetupError: If an image cannot be decoded, or has another size than the first.
    """
    if images.count <= MOST_UNCACHED:
        return _in_memory(images, preprocess)
    path = _cache_path(images, preprocess)
    if not path.exists():
        try:
            write_atomically(path, _as_npy(images, preprocess))
        except OSError:
            return _in_memory(images, preprocess)
    return np.asarray(np.load(path, mmap_mode="r"))


def decode_one(encoded: Encoded, preprocess: Preprocess, color: Color) -> NDArray[np.uint8]:
    """One image as uint8, (channels, height, width); raises SetupError with its name."""
    from PIL import Image

    content = encoded.content
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
            converted = image.convert("RGB" if color == "rgb" else "L")
        return to_pixels(fit_image(converted, preprocess))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SetupError(f"{encoded.name}: {error}") from None


def _cache_path(images: ImageSet, preprocess: Preprocess) -> Path:
    from PIL import __version__ as decoder

    geometry = (preprocess.resize, preprocess.crop, preprocess.interpolation)
    key = combined_digest(images.digest, images.color, *geometry, decoder)
    return cache_folder() / "images" / f"{key}.npy"


def _in_memory(images: ImageSet, preprocess: Preprocess) -> NDArray[np.uint8]:
    return np.stack(list(_decoded(images, preprocess)))


def _as_npy(images: ImageSet, preprocess: Preprocess) -> Iterator[bytes]:
    """The content of a .npy file, image by image: the whole array is never in memory."""
    for place, pixels in enumerate(_decoded(images, preprocess)):
        if place == 0:
            header = io.BytesIO()
            shape = (images.count, *pixels.shape)
            layout = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(header, layout)
            yield header.getvalue()
        yield pixels.tobytes()


def _decoded(images: ImageSet, preprocess: Preprocess) -> Iterator[NDArray[np.uint8]]:
    """Every image in order, all of one shape."""
    first: tuple[int, ...] | None = None
    remaining = iter(images.images())
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while chunk := list(itertools.islice(remaining, CHUNK)):
            decoded = pool.map(lambda one: decode_one(one, preprocess, images.color), chunk)
            for encoded, pixels in zip(chunk, decoded, strict=True):
                first = first or pixels.shape
                if pixels.shape != first:
                    raise _differs(encoded.name, pixels.shape, first)
                yield pixels


def _differs(name: str, shape: tuple[int, ...], first: tuple[int, ...]) -> SetupError:
    return SetupError(
        f"{name}: {shape[2]}x{shape[1]} pixels, those before it {first[2]}x{first[1]}; all images "
        "must end with one size: set resize and crop on the model"
    )

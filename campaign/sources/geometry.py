"""Resize and centre crop of decoded images, in the pixels of torchvision's transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campaign.errors import SetupError
from campaign.lazy import np
from campaign.sources.base import Preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image


def to_pixels(image: Image) -> NDArray[np.uint8]:
    """A grey or RGB image as uint8, (channels, height, width)."""
    pixels = np.asarray(image, dtype=np.uint8)
    if pixels.ndim == 2:
        return pixels[np.newaxis]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def fit_image(image: Image, preprocess: Preprocess) -> Image:
    """`image` after the resize and the centre crop that `preprocess` names.

    Raises:
        ValueError: If the crop is larger than the image.
    """
    if preprocess.resize is not None:
        image = _resize(image, preprocess.resize, preprocess.interpolation)
    if preprocess.crop is None:
        return image
    top, left = _corner(image.height, image.width, preprocess.crop)
    return image.crop((left, top, left + preprocess.crop, top + preprocess.crop))


def fit_pixels(pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    """`fit_image` for images of one size: uint8, (n, 1 or 3, height, width).

    Raises:
        SetupError: If the crop is larger than the images.
    """
    from PIL import Image

    try:
        if preprocess.resize in (None, min(pixels.shape[2:])):
            return _crop(pixels, preprocess.crop)
        squeezed = [p[0] if len(p) == 1 else p.transpose(1, 2, 0) for p in pixels]
        return np.stack([to_pixels(fit_image(Image.fromarray(p), preprocess)) for p in squeezed])
    except ValueError as error:
        raise SetupError(str(error)) from None


def _crop(pixels: NDArray[np.uint8], side: int | None) -> NDArray[np.uint8]:
    height, width = pixels.shape[2:]
    if side is None or (side, side) == (height, width):
        return pixels
    top, left = _corner(height, width, side)
    return np.ascontiguousarray(pixels[:, :, top : top + side, left : left + side])


def _corner(height: int, width: int, side: int) -> tuple[int, int]:
    """Top and left of the central square; halves are rounded to even, as torchvision does."""
    if side > min(height, width):
        raise ValueError(
            f"an image of {width}x{height} pixels has no central square of {side}: "
            f"set the model's resize to {side} or more, or its crop to {min(height, width)} or less"
        )
    return round((height - side) / 2.0), round((width - side) / 2.0)


def _resize(image: Image, shorter: int, interpolation: str) -> Image:
    from PIL import Image as pil

    width, height = image.size
    least = min(width, height)
    if least == shorter:
        return image
    size = tuple(shorter if side == least else int(shorter * side / least) for side in image.size)
    return image.resize((size[0], size[1]), pil.Resampling[interpolation.upper()])

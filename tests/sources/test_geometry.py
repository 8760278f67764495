from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from campaign.errors import SetupError
from campaign.sources import Preprocess
from campaign.sources.geometry import fit_image, fit_pixels, to_pixels

SIZES = [(300, 200), (200, 301), (333, 333), (225, 257), (256, 256), (97, 640)]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (232, 224), (64, 33)])
def test_pixels_and_floats_equal_those_of_torchvisions_preset(
    photo: Callable[..., Image.Image], interpolation: str, resize: int, crop: int
) -> None:
    preset = ImageClassification(
        crop_size=crop, resize_size=resize, interpolation=InterpolationMode(interpolation)
    )
    ours = Preprocess(resize, crop, interpolation, 255.0, MEAN, STD)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    for width, height in SIZES:
        image = photo(width, height)
        pixels = torch.from_numpy(to_pixels(fit_image(image, ours)))
        assert pixels.dtype == torch.uint8
        normalised = (pixels.float() / 255.0 - mean) / std
        assert torch.equal(normalised, preset(image))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_arrays_and_images_get_the_same_geometry(
    photo: Callable[..., Image.Image], mode: str
) -> None:
    images = [photo(41, 30, mode, seed) for seed in range(3)]
    stacked = np.stack([to_pixels(image) for image in images])
    for resize, crop in [(None, None), (None, 27), (30, 30), (20, None), (64, 55)]:
        preprocess = Preprocess(resize, crop)
        expected = np.stack([to_pixels(fit_image(image, preprocess)) for image in images])
        assert np.array_equal(fit_pixels(stacked, preprocess), expected)


def test_a_crop_larger_than_the_image_names_both_sizes() -> None:
    with pytest.raises(SetupError, match=r"30x20 pixels has no central square of 24.*20 or less"):
        fit_pixels(np.zeros((1, 3, 20, 30), np.uint8), Preprocess(crop=24))

from __future__ import annotations

import numpy as np
import pytest

from campaign.sources.normalization import (
    NORMALIZATIONS,
    MeanStd,
    parse_normalization,
    preprocess_of,
)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_a_name_means_itself(name: str) -> None:
    assert parse_normalization(name) == name


def test_half_maps_pixels_to_minus_one_and_one() -> None:
    scaling = NORMALIZATIONS["half"]
    pixels = np.array([0, 255])
    assert ((pixels / scaling.divisor - scaling.mean) / scaling.std).tolist() == [-1, 1]


def test_none_hands_on_raw_pixels() -> None:
    found = preprocess_of("none", resize=None, crop=None, interpolation="bilinear")
    assert (found.divisor, found.mean, found.std) == (1.0, (0.0,), (1.0,))


def test_own_numbers_are_of_pixels_in_zero_to_one() -> None:
    own = parse_normalization({"mean": [0.1, 0.2, 0.3], "std": 0.5})
    assert own == MeanStd((0.1, 0.2, 0.3), (0.5,))
    found = preprocess_of(own, resize=8, crop=7, interpolation="bicubic")
    assert found.divisor == 255.0
    assert (found.resize, found.crop, found.interpolation) == (8, 7, "bicubic")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("imagnet", r"did you mean 'imagenet'\?.*allowed: imagenet, cifar10"),
        ({"mean": [0.5]}, "or a mapping of mean and std"),
        ({"mean": [0.5], "std": [0.0]}, "std > 0"),
        ({"mean": [0.5, 0.5], "std": [1, 1, 1]}, "one per channel"),
        ({"mean": ["x"], "std": [1]}, "allowed: a number"),
        (3, "got 3"),
    ],
)
def test_anything_else_is_refused(raw: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_normalization(raw)

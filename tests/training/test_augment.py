"""Augmented images, fixed by a seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from campaign.training.augment import NAMES, augmented
from campaign.training.recipe import Recipe


def parts(*raw: Any) -> Any:
    """Augmentations as a recipe says them."""
    return Recipe.model_validate({"augment": list(raw)}).augment


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1, 256, (12, 3, 9, 7), generator=generator).to(torch.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_fixes_every_transform_and_no_generator_is_touched(
    name: str, pixels: torch.Tensor
) -> None:
    strong = {"color_jitter": {"brightness": 0.5, "hue": 0.2}, "cutout": {"side": 3}}
    chosen, before = parts({name: strong.get(name)}), pixels.clone()
    state = torch.random.get_rng_state()
    first, again, other = (augmented(pixels, chosen, seed) for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(pixels, before)
    assert (first.shape, first.dtype) == (pixels.shape, torch.uint8)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, pixels)


def test_images_are_cut_mirrored_and_blackened_each_by_itself(pixels: torch.Tensor) -> None:
    padded = torch.nn.functional.pad(pixels, (2, 2, 2, 2))
    cropped = augmented(pixels, parts({"random_crop": {"padding": 2}}), 3)
    places = [
        [(y, x) for y in range(5) for x in range(5)
         if torch.equal(image, source[:, y : y + 9, x : x + 7])]
        for image, source in zip(cropped, padded, strict=True)
    ]  # fmt: skip
    assert all(len(found) == 1 for found in places)
    assert len({found[0] for found in places}) > 4

    flipped = augmented(pixels, parts("flip"), 3)
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(flipped, pixels, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(flipped, pixels, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 0 < sum(mirrored) < 12

    blackened = augmented(pixels, parts({"cutout": {"side": 3}}), 3) == 0
    assert not (blackened != blackened[:, :1]).any()  # the same in each channel
    for image in blackened[:, 0]:
        rows, columns = image.any(1).sum(), image.any(0).sum()
        assert int(image.sum()) == int(rows * columns)
        assert 2 <= int(rows) <= 3
        assert 2 <= int(columns) <= 3

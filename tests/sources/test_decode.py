from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from campaign.errors import SetupError
from campaign.sources import Preprocess
from campaign.sources import decode as module
from campaign.sources.decode import Encoded, ImageSet, decode
from campaign.sources.geometry import to_pixels

PLAIN = Preprocess()


@pytest.fixture
def few(photo: Callable[..., Image.Image], png: Callable[[Image.Image], bytes]) -> ImageSet:
    encoded = [Encoded(f"row {seed}", png(photo(9, 7, seed=seed))) for seed in range(5)]
    return ImageSet("digest", len(encoded), lambda: encoded)


def test_lossless_images_come_back_to_the_bit(
    few: ImageSet, photo: Callable[..., Image.Image]
) -> None:
    expected = np.stack([to_pixels(photo(9, 7, seed=seed)) for seed in range(5)])
    assert np.array_equal(decode(few, PLAIN), expected)


def test_many_images_are_decoded_once_and_then_mapped(
    few: ImageSet, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = decode(few, PLAIN)
    monkeypatch.setattr(module, "MOST_UNCACHED", 4)
    assert np.array_equal(decode(few, PLAIN), in_memory)
    assert len(list((empty_cache / "images").glob("*.npy"))) == 1

    def never() -> Iterator[Encoded]:
        raise AssertionError("the images were read again")

    again = decode(ImageSet(few.digest, few.count, never), PLAIN)
    assert np.array_equal(again, in_memory)
    assert type(again) is np.ndarray
    assert not again.flags.writeable


@pytest.mark.usefixtures("empty_cache")
def test_other_contents_and_geometries_have_their_own_cache_entries(
    few: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_UNCACHED", 4)
    shapes = {
        decode(ImageSet(digest, few.count, few.images, color), preprocess).shape
        for digest in ("digest", "other")
        for color in ("rgb", "grey")
        for preprocess in (PLAIN, Preprocess(crop=5))
    }
    assert shapes == {(5, 3, 7, 9), (5, 3, 5, 5), (5, 1, 7, 9), (5, 1, 5, 5)}


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    few: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CAMPAIGN_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(module, "MOST_UNCACHED", 4)
    assert decode(few, PLAIN).shape == (5, 3, 7, 9)


def test_the_first_image_of_another_size_is_named_with_the_fix(
    photo: Callable[..., Image.Image], png: Callable[[Image.Image], bytes]
) -> None:
    sizes = [(9, 7), (9, 7), (8, 7), (7, 9)]
    encoded = [Encoded(f"row {n}", png(photo(*size))) for n, size in enumerate(sizes)]
    images = ImageSet("digest", 4, lambda: encoded)
    with pytest.raises(SetupError, match=r"row 2: 8x7 pixels, .* 9x7; .* set resize and crop"):
        decode(images, PLAIN)
    assert decode(images, Preprocess(crop=6)).shape == (4, 3, 6, 6)


@pytest.mark.parametrize("content", [b"no image", b"\x89PNG\r\n\x1a\n cut"])
def test_an_unreadable_image_is_named(content: bytes) -> None:
    images = ImageSet("digest", 1, lambda: [Encoded("row 0", content)])
    with pytest.raises(SetupError, match="row 0: "):
        decode(images, PLAIN)


def test_an_image_too_small_for_the_crop_is_named(
    photo: Callable[..., Image.Image], png: Callable[[Image.Image], bytes]
) -> None:
    images = ImageSet("digest", 1, lambda: [Encoded("row 0", png(photo(9, 7)))])
    with pytest.raises(SetupError, match=r"row 0: an image of 9x7 .* set the model's resize to 8"):
        decode(images, Preprocess(crop=8))

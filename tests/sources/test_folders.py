from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder as Reference

from campaign.errors import SetupError
from campaign.sources import DATASETS, Preprocess
from campaign.sources.geometry import to_pixels


@pytest.fixture
def root(tmp_path: Path, photo: Callable[..., Image.Image]) -> Path:
    for seed, place in enumerate(["cat/2.png", "cat/10.png", "ant/x.PNG", "dog/sub/y.png"]):
        path = tmp_path / "pets" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(12, 9, seed=seed).save(path)
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("no image")
    return tmp_path / "pets"


def test_images_labels_and_order_equal_those_of_torchvision(root: Path) -> None:
    source = DATASETS.make("image_folder", {"root": str(root)})
    found = source.images(Preprocess())
    samples = [(to_pixels(image), label) for image, label in Reference(str(root))]
    assert found.labels.tolist() == [label for _, label in samples]
    assert np.array_equal(found.pixels, np.stack([pixels for pixels, _ in samples]))
    assert source.label == "pets"


def test_grey_images_have_one_channel(root: Path) -> None:
    source = DATASETS.make("image_folder", {"root": str(root), "color": "grey"})
    assert source.images(Preprocess(crop=8)).pixels.shape == (4, 1, 8, 8)


def test_the_digest_sees_contents_names_classes_and_colour(
    root: Path, photo: Callable[..., Image.Image]
) -> None:
    source = DATASETS.make("image_folder", {"root": str(root)})
    digests = [source.digest()]
    digests.append(DATASETS.make("image_folder", {"root": str(root), "color": "grey"}).digest())
    (root / "bee").mkdir()  # an empty class shifts the labels
    digests.append(source.digest())
    photo(12, 9, seed=99).save(root / "ant" / "x.PNG")
    digests.append(source.digest())
    assert len(set(digests)) == 4
    (root / "cat" / "notes.txt").write_text("changed")
    assert source.digest() == digests[-1]


def test_a_folder_without_classes_or_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"gone: no such folder; set the dataset's root"):
        DATASETS.make("image_folder", {"root": str(tmp_path / "gone")}).digest()
    with pytest.raises(SetupError, match="no images in folders of classes"):
        DATASETS.make("image_folder", {"root": str(tmp_path)}).digest()


def test_imagenet_labels_are_ranks_of_the_sorted_wnids(
    tmp_path: Path, photo: Callable[..., Image.Image]
) -> None:
    for rank in range(1000):
        (tmp_path / "val" / f"n{1000 + 7 * rank:08d}").mkdir(parents=True)
    for rank in (999, 3):
        photo(70, 64).save(tmp_path / "val" / f"n{1000 + 7 * rank:08d}" / "ILSVRC2012_val_1.JPEG")
    source = DATASETS.make("imagenet", {"root": str(tmp_path)})
    found = source.images(Preprocess(resize=64, crop=56))
    assert found.labels.tolist() == [3, 999]
    assert found.pixels.shape == (2, 3, 56, 56)
    (tmp_path / "val" / "n00001000").rmdir()
    with pytest.raises(SetupError, match="999 class folders, ImageNet has 1000"):
        source.digest()

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets.mnist import read_image_file, read_label_file

from campaign.errors import SetupError
from campaign.sources import DATASETS, Preprocess


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 28, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, 5, dtype=np.uint8)
    (folder / "t10k-images-idx3-ubyte").write_bytes(
        struct.pack(">4B3I", 0, 0, 8, 3, 5, 28, 28) + images.tobytes()
    )
    (folder / "t10k-labels-idx1-ubyte").write_bytes(
        struct.pack(">4BI", 0, 0, 8, 1, 5) + labels.tobytes()
    )
    return tmp_path


def test_images_and_labels_equal_those_that_torchvision_reads(root: Path) -> None:
    source = DATASETS.make("fashion_mnist", {"root": str(root)})
    found = source.images(Preprocess())
    raw = root / "FashionMNIST" / "raw"
    images = read_image_file(str(raw / "t10k-images-idx3-ubyte")).numpy()
    labels = read_label_file(str(raw / "t10k-labels-idx1-ubyte")).numpy()
    assert np.array_equal(found.pixels[:, 0], images)
    assert np.array_equal(found.labels, labels)
    assert found.pixels.shape == (5, 1, 28, 28)
    assert source.images(Preprocess(resize=32)).pixels.shape == (5, 1, 32, 32)


def test_the_digest_sees_labels_and_images(root: Path) -> None:
    source = DATASETS.make("fashion_mnist", {"root": str(root)})
    digests = {source.digest()}
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        path = root / "FashionMNIST" / "raw" / name
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        digests.add(source.digest())
    assert len(digests) == 3


def test_a_cut_file_is_refused(root: Path) -> None:
    path = root / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SetupError, match=r"t10k-images-idx3-ubyte is no complete IDX file"):
        DATASETS.make("fashion_mnist", {"root": str(root)}).images(Preprocess())


def test_missing_files_are_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"t10k-images-idx3-ubyte: .* download: true"):
        DATASETS.make("fashion_mnist", {"root": str(tmp_path)}).digest()

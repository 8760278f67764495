from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from campaign.errors import SetupError
from campaign.sources import DATASETS, DatasetSource, Preprocess

LAYOUT = {
    "cifar10": ("cifar-10-batches-py/test_batch", "labels", 10),
    "cifar100": ("cifar-100-python/test", "fine_labels", 100),
}


def write_batch(root: Path, name: str) -> tuple[np.ndarray, list[int]]:
    place, key, classes = LAYOUT[name]
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (7, 3, 32, 32), dtype=np.uint8)
    labels = [int(label) for label in rng.integers(0, classes, 7)]
    path = root / place
    path.parent.mkdir()
    path.write_bytes(pickle.dumps({"data": pixels.reshape(7, -1), key: labels}, protocol=2))
    return pixels, labels


def make(name: str, root: Path) -> DatasetSource:
    return DATASETS.make(name, {"root": str(root)})


@pytest.mark.parametrize("name", LAYOUT)
def test_the_published_layout_is_read_back(name: str, tmp_path: Path) -> None:
    pixels, labels = write_batch(tmp_path, name)
    found = make(name, tmp_path).images(Preprocess())
    assert np.array_equal(found.pixels, pixels)
    assert found.labels.tolist() == labels
    assert found.labels.dtype == np.int64


def test_cifar10_and_cifar100_have_different_digests_and_labels(tmp_path: Path) -> None:
    sources = []
    for name in LAYOUT:
        write_batch(tmp_path, name)
        sources.append(make(name, tmp_path))
    assert len({source.digest() for source in sources}) == 2
    assert [(source.label, source.size()) for source in sources] == [
        ("cifar10", 10_000),
        ("cifar100", 10_000),
    ]


def test_a_missing_archive_is_told_with_its_path_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"cifar-10-batches-py/test_batch: .* download: true"):
        make("cifar10", tmp_path).digest()


@pytest.mark.parametrize(
    "content", [b"", b"no pickle", pickle.dumps([1]), pickle.dumps({"data": [1]})]
)
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / LAYOUT["cifar10"][0]
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(SetupError, match=r"test_batch is no"):
        make("cifar10", tmp_path).images(Preprocess())


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "touched",))  # type: ignore[return-value]

    path = tmp_path / LAYOUT["cifar10"][0]
    path.parent.mkdir()
    path.write_bytes(pickle.dumps({"data": Hostile()}))
    with pytest.raises(SetupError, match="no place in CIFAR"):
        make("cifar10", tmp_path).images(Preprocess())
    assert not (tmp_path / "touched").exists()


def test_the_train_split_is_all_training_batches_in_their_order(tmp_path: Path) -> None:
    folder, rng = tmp_path / "cifar-10-batches-py", np.random.default_rng(1)
    folder.mkdir()
    pixels = rng.integers(0, 256, (15, 3 * 32 * 32), dtype=np.uint8)
    for place in range(5):
        part = slice(3 * place, 3 * place + 3)
        held = {"data": pixels[part], "labels": list(range(15))[part]}
        (folder / f"data_batch_{place + 1}").write_bytes(pickle.dumps(held, protocol=2))
    source = DATASETS.make("cifar10", {"root": str(tmp_path), "split": "train"})
    found = source.images(Preprocess())
    assert np.array_equal(found.pixels.reshape(15, -1), pixels)
    assert found.labels.tolist() == list(range(15))
    assert (source.size(), source.label) == (50_000, "cifar10(split=train)")
    before = source.digest()
    (folder / "data_batch_4").write_bytes(b"other")
    assert source.digest() != before

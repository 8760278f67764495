from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from campaign.errors import SetupError
from campaign.registry import OptionError
from campaign.sources import DATASETS, DatasetSource, Preprocess
from campaign.sources.geometry import to_pixels

PLAIN = Preprocess()


def make(path: Path, **options: str) -> DatasetSource:
    return DATASETS.make("files", {"path": str(path), **options})


@pytest.mark.parametrize("shape", [(6, 9, 7), (6, 9, 7, 1), (6, 9, 7, 3), (6, 3, 9, 7)])
def test_npz_arrays_come_back_channels_first(shape: tuple[int, ...], tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(6, dtype=np.uint8))
    found = make(tmp_path / "set.npz").images(PLAIN)
    channels = 1 if len(shape) == 3 else 3 if 3 in shape else 1
    assert found.pixels.shape == (6, channels, 9, 7)
    expected = images if shape[1] == 3 else images.reshape(6, 9, 7, -1).transpose(0, 3, 1, 2)
    assert np.array_equal(found.pixels, expected)
    assert found.labels.tolist() == list(range(6))
    assert found.labels.dtype == np.int64


@pytest.mark.parametrize("form", ["struct", "bytes"])
def test_parquet_images_come_back_to_the_bit(
    form: str,
    tmp_path: Path,
    photo: Callable[..., Image.Image],
    png: Callable[[Image.Image], bytes],
) -> None:
    encoded = [png(photo(9, 7, seed=seed)) for seed in range(300)]  # more than a batch of rows
    column = [{"bytes": held, "path": None} for held in encoded] if form == "struct" else encoded
    labels = [seed % 10 for seed in range(300)]
    pq.write_table(pa.table({"image": column, "label": labels}), tmp_path / "set.parquet")
    source = make(tmp_path / "set.parquet")
    found = source.images(PLAIN)
    assert np.array_equal(found.pixels[299], to_pixels(photo(9, 7, seed=299)))
    assert found.pixels.shape == (300, 3, 7, 9)
    assert found.labels.tolist() == labels
    assert source.label == "set"
    assert source.size() == 300


def test_how_many_images_there_are_is_not_known_where_a_file_cannot_tell(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_text("no parquet")
    pq.write_table(pa.table({"other": [1]}), tmp_path / "other.parquet")
    names = ("missing.parquet", "broken.parquet", "other.parquet", "set.npz", ".")
    assert [make(tmp_path / name).size() for name in names] == [None] * 5


def test_columns_can_have_other_names(
    tmp_path: Path, photo: Callable[..., Image.Image], png: Callable[[Image.Image], bytes]
) -> None:
    table = pa.table({"img": [png(photo(9, 7))], "fine": [4], "coarse": [1]})
    pq.write_table(table, tmp_path / "set.parquet")
    sources = [
        make(tmp_path / "set.parquet", image_key="img", label_key=key) for key in ("fine", "coarse")
    ]
    assert [source.images(PLAIN).labels.tolist() for source in sources] == [[4], [1]]
    assert sources[0].digest() != sources[1].digest()
    with pytest.raises(SetupError, match=r"no column 'image'; it holds img, fine, coarse"):
        make(tmp_path / "set.parquet", label_key="fine").images(PLAIN)


def test_a_folder_of_class_folders_is_one_too(
    tmp_path: Path, photo: Callable[..., Image.Image]
) -> None:
    (tmp_path / "set" / "a").mkdir(parents=True)
    photo(9, 7).save(tmp_path / "set" / "a" / "1.png")
    folder = DATASETS.make("image_folder", {"root": str(tmp_path / "set")})
    assert make(tmp_path / "set").digest() == folder.digest()
    assert make(tmp_path / "set").images(PLAIN).pixels.shape == (1, 3, 7, 9)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 4, 4), np.uint8)}, "no array 'labels'; it holds images"),
        ({"images": np.zeros((2, 4, 4)), "labels": [0, 1]}, "images is float64"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": [0]}, r"labels is int64 \(1,\) for 2"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": [0, -1]}, "one integer from 0 up"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": [0.0, 1.0]}, "labels is float64"),
        ({"images": np.zeros((2, 4, 5, 4), np.uint8), "labels": [0, 1]}, "no side of 1 or 3"),
    ],
)
def test_arrays_that_are_no_test_set_are_refused(
    arrays: dict[str, object], message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "set.npz", **{k: np.asarray(v) for k, v in arrays.items()})  # type: ignore[arg-type]
    with pytest.raises(SetupError, match=message):
        make(tmp_path / "set.npz").images(PLAIN)


def test_a_row_without_an_image_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": ["text"], "label": [0]}), tmp_path / "set.parquet")
    with pytest.raises(SetupError, match=r"row 0 of 'image' holds no encoded image \(str\)"):
        make(tmp_path / "set.parquet").images(PLAIN)


def test_other_files_and_missing_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("")
    (tmp_path / "set.parquet").write_text("no parquet")
    with pytest.raises(SetupError, match=r"set\.csv: allowed: \.npz, \.parquet, or a folder"):
        make(tmp_path / "set.csv").images(PLAIN)
    with pytest.raises(SetupError, match=r"set\.parquet: "):
        make(tmp_path / "set.parquet").images(PLAIN)
    with pytest.raises(SetupError, match=r"gone\.npz: No such file.*; set the dataset's path"):
        make(tmp_path / "gone.npz").digest()


def test_making_one_reads_no_file_and_refuses_stray_options() -> None:
    assert make(Path("nowhere.npz")).label == "nowhere"
    with pytest.raises(OptionError, match=r"unknown key 'image' \(did you mean 'image_key'\?\)"):
        make(Path("x.npz"), image="x")

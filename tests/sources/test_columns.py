"""Columns of numbers are the same from any kind of file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from campaign.errors import SetupError
from campaign.sources.columns import read_columns

CELLS, RATES = [3, 70_000_000_001, 5], [0.25, 1e-9, 1.0]


def test_every_kind_of_file_gives_its_columns(tmp_path: Path) -> None:
    table = np.zeros(3, dtype=[("cell", "<i8"), ("rate", "<f8")])
    table["cell"], table["rate"] = CELLS, RATES
    np.save(tmp_path / "a.npy", table)
    np.savez(tmp_path / "a.npz", cell=CELLS, rate=RATES)
    lines = [f"{cell}, {rate}\n" for cell, rate in zip(CELLS, RATES, strict=True)]
    (tmp_path / "a.csv").write_text("cell, rate\n" + "".join(lines) + "\n")
    for name in ("a.npy", "a.npz", "a.csv"):
        found = read_columns(tmp_path / name)
        assert {key: column.tolist() for key, column in found.items()} == {
            "cell": CELLS,
            "rate": RATES,
        }


@pytest.mark.parametrize("name", ["a.csv", "a.npy", "a.npz", "a.txt", "empty.npz", "short.csv"])
def test_a_file_that_cannot_be_read_is_told_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.npz").touch()
    (tmp_path / "short.csv").write_text("cell,rate\n1\n")
    with pytest.raises(SetupError, match=name):
        read_columns(tmp_path / name)


def test_a_broken_archive_or_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 cut off")
    (tmp_path / "a.csv").write_text("cell,rate\n1,many\n")
    for name in ("a.npz", "a.csv"):
        with pytest.raises(SetupError, match=name):
            read_columns(tmp_path / name)


def test_a_file_without_rows_or_names_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("cell,rate\n")
    np.save(tmp_path / "a.npy", np.zeros(3))
    assert [column.size for column in read_columns(tmp_path / "a.csv").values()] == [0, 0]
    assert read_columns(tmp_path / "a.npy") == {}

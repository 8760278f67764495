"""Named columns of numbers from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from campaign.errors import SetupError
from campaign.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_columns(path: Path) -> Mapping[str, NDArray[np.generic]]:
    """The columns of a .csv with a header, a .npy of named fields, or the arrays of a .npz.

    Raises:
        SetupError: If the file cannot be read so; the text names it.
    """
    if path.suffix not in (".csv", ".npy", ".npz"):
        raise SetupError(f"{path}: allowed: .csv, .npy or .npz")
    try:
        return _text(path) if path.suffix == ".csv" else _arrays(path)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise SetupError(f"{path}: {error}") from None


def _text(path: Path) -> Mapping[str, NDArray[np.generic]]:
    header, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    names = [name.strip() for name in header.split(",")]
    rows = [[float(value) for value in line.split(",")] for line in lines if line.strip()]
    return dict(zip(names, np.array(rows).reshape(-1, len(names)).T, strict=True))


def _arrays(path: Path) -> Mapping[str, NDArray[np.generic]]:
    with path.open("rb") as file:
        held = np.load(file)
        if isinstance(held, np.ndarray):
            return {name: held[name] for name in held.dtype.names or ()}
        return {name: held[name] for name in held}

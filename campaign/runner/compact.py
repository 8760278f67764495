"""The parts of a results folder merged."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.errors import SetupError
from campaign.runner.place import open_store, opened, place_of

if TYPE_CHECKING:
    from campaign.engines.stores.compact import Compacted


def compact_folder(place: str | Path) -> Compacted:
    """Merge the parts of a results folder or URL.

    Raises:
        SetupError: If there are no results, or the folder cannot be written; no row is lost.
        LockedError: If a driver writes to the folder.
    """
    from campaign.engines.stores.reader import TRIALS

    place = place_of(place)
    if isinstance(place, Path) and not (place / TRIALS).is_dir():
        raise SetupError(f"no results in {place}: run `campaign run SPEC` first")
    with opened(place, _tell) as folder, closing(open_store(place, folder)) as store:
        merged = store.compact()
        for line in store.warnings:
            _tell(f"warning: {line}")
        return merged


def _tell(line: str) -> None:
    print(line, file=sys.stderr)

"""The parts of a results folder merged."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.errors import SetupError

if TYPE_CHECKING:
    from campaign.engines.stores.compact import Compacted


def compact_folder(folder: Path) -> Compacted:
    """Merge the parts of a results folder.

    Raises:
        SetupError: If there are no results, or the folder cannot be written; no row is lost.
        LockedError: If a driver writes to the folder.
    """
    from campaign.engines.stores.parquet import ParquetStore
    from campaign.engines.stores.reader import TRIALS

    if not (folder / TRIALS).is_dir():
        raise SetupError(f"no results in {folder}: run `campaign run SPEC` first")
    with closing(ParquetStore(folder)) as store:
        merged = store.compact()
        for line in store.warnings:
            print(f"warning: {line}", file=sys.stderr)
        return merged

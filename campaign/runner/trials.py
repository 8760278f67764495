"""All rows of a results folder as the analysis takes them, in little memory.

Names that repeat are kept as codes, columns that no report looks at are not read, and the id of a
trial is kept where the trial has no result: a million trials take 0.3 GB.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaign.records import COLUMNS, column_types

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from campaign.engines.stores.parquet import ParquetStore

UNREAD = ("flipped_words", "flips_digest", "nonfinite_weights", "attempt")
"""Columns that no curve, table, figure or page is made of."""
READ = tuple(column for column in COLUMNS if column not in UNREAD)
NAMES = tuple(c for c in READ if column_types()[c] == "str" and c != "trial_id")


def trials_in(folder: Path) -> pd.DataFrame:
    """What `analysis.rows.as_trials` gives for the rows of a folder, less the columns `UNREAD`.

    A file that cannot be read is passed over with a Python warning.

    Raises:
        SetupError: If there are no results in the folder.
        CampaignError: If there are no rows, or one curve has trials of several setups.
    """
    from campaign.analysis.rows import checked
    from campaign.engines.stores.reader import load_results

    table, lines = load_results(folder, READ, encoded=NAMES)
    for line in lines:
        warnings.warn(line, stacklevel=2)
    columns = _columns(table)
    del table
    return checked(_frame(columns))


def trials_of(store: ParquetStore) -> pd.DataFrame:
    """The same for the rows that a store holds by now.

    Raises:
        CampaignError: If there are no rows, or one curve has trials of several setups.
    """
    from campaign.analysis.rows import checked

    return checked(_frame(_columns(store.read(READ, encoded=NAMES))))


def _columns(table: pa.Table) -> dict[str, pa.ChunkedArray[Any]]:
    """The columns by name; of ids, those of trials without a result."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lost = pc.not_equal(table["status"].cast(pa.string()), pa.scalar("ok"))
    ids = pc.if_else(lost, table["trial_id"], pa.scalar(None, pa.string()))
    return {**dict(zip(table.column_names, table.columns, strict=True)), "trial_id": ids}


def _frame(columns: dict[str, pa.ChunkedArray[Any]]) -> pd.DataFrame:
    """The columns as a frame, numbers but the seed as floats; each is let go of once it is in."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    kinds, found = column_types(), {}
    for name in list(columns):
        values = columns.pop(name).to_pandas()
        number = kinds[name] != "str" and name != "seed"
        found[name] = values.to_numpy(float, na_value=np.nan) if number else values
        pa.default_memory_pool().release_unused()
    return pd.DataFrame(found, copy=False)

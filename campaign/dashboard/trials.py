"""The trials behind a point of a curve, down to one row and the command that repeats it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from campaign.dashboard.rows import JOIN, Snapshot
from campaign.errors import SpecError

SHOWN = (
    *("trial_id", "seed", "status", "accuracy", "n_correct", "n_samples", "flipped_bits"),
    *("n_sdc", "n_nonfinite", "corrected", "detected", "seconds", "attempt", "host"),
    "train_seed",
)
"""Columns of the table, in order; ``accuracy`` is `n_correct` over `n_samples`, and ``train_seed``
is there where a network was trained."""
MOST = 500
"""Rows of an answer, at most."""


class Page(NamedTuple):
    """Which trials, in which order, and where to begin.

    Args:
        setup_id: The setup; several by their ids with `rows.JOIN` between them.
        ber: Bit error rate.
        sort: One of `SHOWN`.
        down: The greatest first.
        offset: So many are passed over.
        limit: So many at most.
    """

    setup_id: str
    ber: float
    sort: str = "seed"
    down: bool = False
    offset: int = 0
    limit: int = 100


def trials_of(snapshot: Snapshot, page: Page) -> dict[str, Any]:
    """One page of the trials of a point.

    Returns:
        ``columns``, ``rows`` (lists in that order) and ``count`` of all trials of the point.

    Raises:
        SpecError: If there is no such setup or column.
    """
    if not set(page.setup_id.split(JOIN)) <= snapshot.starts.keys():
        raise SpecError(f"setup: no rows of {page.setup_id!r}; reload the page")
    if page.sort not in SHOWN:
        raise SpecError(f"sort: got {page.sort!r}; allowed: {', '.join(SHOWN)}")
    rows = snapshot.setup(page.setup_id)
    rows = rows.filter(pc.equal(rows["ber"], pa.scalar(page.ber)))
    share = pc.divide(pc.cast(rows["n_correct"], pa.float64()), rows["n_samples"])
    rows = rows.append_column("accuracy", share)
    trained = rows["train_seed"].null_count < len(rows)
    names = [name for name in SHOWN if name != "train_seed" or trained or name == page.sort]
    kept = pa.Table.from_arrays([_plain(rows[name]) for name in names], names=names)
    order: Literal["ascending", "descending"] = "descending" if page.down else "ascending"
    places = pc.sort_indices(kept, sort_keys=[(page.sort, order), ("trial_id", "ascending")])
    limit = int(np.clip(page.limit, 1, MOST))
    shown = kept.take(places.slice(max(page.offset, 0), limit))
    columns = [shown[name].to_pylist() for name in names]
    return {
        "columns": names,
        "rows": [list(row) for row in zip(*columns, strict=True)],
        "count": len(kept),
    }


def command_of(folder: Path, trial_id: str, *, runs_code: bool = False) -> str:
    """What runs this one trial again, from any working folder.

    Args:
        folder: Its results folder.
        trial_id: The trial.
        runs_code: Whether its model is built by code that is not ours, which has to be allowed.

    Example:
        >>> command_of(Path("/data/my results/x"), "ab12-s3")
        "campaign replay ab12-s3 --results '/data/my results/x'"
    """
    allowed = ["--allow-code"] if runs_code else []
    return shlex.join(["campaign", "replay", trial_id, "--results", str(folder), *allowed])


def _plain(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    if pa.types.is_dictionary(column.type):
        return pc.cast(column, column.type.value_type)
    return column

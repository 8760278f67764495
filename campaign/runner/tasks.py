"""Which trials of a grid are to be run, and which of those that were run have failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from campaign.spec.expand import SetupGrid
from campaign.spec.grid import SetupPoints

if TYPE_CHECKING:
    from campaign.engines.stores.parquet import ParquetStore


def unfinished(
    grids: Sequence[SetupGrid], done: Mapping[str, str], *, keep_failed: bool
) -> list[SetupPoints]:
    """The setups with the points that have no result; a failed one has none, unless kept."""

    def wanted(trial_id: str) -> bool:
        status = done.get(trial_id)
        return status is None or (status != "ok" and not keep_failed)

    left = (SetupPoints(grid.setup, tuple(grid.points(wanted))) for grid in grids)
    return [task for task in left if task.points]


def limited(tasks: Sequence[SetupPoints], limit: int | None) -> list[SetupPoints]:
    """The first `limit` points of the tasks; all of them where it is None."""
    if limit is None:
        return list(tasks)
    taken = []
    for task in tasks:
        points = task.points[:limit]
        limit -= len(points)
        taken += [SetupPoints(task.setup, points)] if points else []
    return taken


def failures_of(store: ParquetStore) -> dict[tuple[str, str, str], int]:
    """Failed trials by (status, error type, message), the most frequent first."""
    import pyarrow.compute as pc

    rows = store.read(["status", "error_type", "error"])
    failed = rows.filter(pc.field("status") != "ok").to_pylist()
    causes = Counter((row["status"], row["error_type"] or "", row["error"] or "") for row in failed)
    return dict(causes.most_common())

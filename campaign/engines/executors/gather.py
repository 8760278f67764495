"""Records to micro-batches: how often rows leave a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from campaign.records import TrialRecord

SLOW_SECONDS = 0.5
"""A trial that takes longer leaves at once."""
HOLD_SECONDS = 1.0
"""How long quick rows are held back."""
MOST_ROWS = 64
"""How many quick rows are held back; so few travel inside a message of Ray, below 100 kB."""


def gather(
    records: Iterator[TrialRecord], stopped: Callable[[], bool]
) -> Iterator[list[TrialRecord]]:
    """Group records: the row of a slow or failed trial leaves at once, others every second.

    What is held back is handed over before an exception of `records` goes on.

    Args:
        records: Rows, each computed when it is asked for.
        stopped: Asked before each trial; once true, no further one is begun.

    Example:
        >>> [len(rows) for rows in gather(iter([]), lambda: False)]
        []
    """
    rows: list[TrialRecord] = []
    held_since = time.monotonic()
    try:
        while not stopped():
            begun = time.monotonic()
            record = next(records, None)
            if record is None:
                break
            rows.append(record)
            if _is_due(record, rows, begun, held_since):
                yield rows
                rows, held_since = [], time.monotonic()
    except Exception:
        if rows:
            yield rows
        raise
    if rows:
        yield rows


def _is_due(record: TrialRecord, rows: list[TrialRecord], begun: float, held: float) -> bool:
    now = time.monotonic()
    quick = now - begun <= SLOW_SECONDS and now - held < HOLD_SECONDS
    return not quick or len(rows) >= MOST_ROWS or record.status != "ok"

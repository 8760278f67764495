"""Rows in memory, for tests and notebooks."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from campaign.engines.stores.conflicts import Conflict, compare
from campaign.engines.stores.schema import row_of, to_table
from campaign.records import TrialRecord


class MemoryStore:
    """Rows that are gone with the process; the rules of `ParquetStore` hold.

    Example:
        >>> store = MemoryStore()
        >>> store.append([]), store.done(), store.read().num_rows
        (0, {}, 0)
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._records: dict[str, TrialRecord] = {}
        self._conflicts: list[Conflict] = []

    def append(self, records: Sequence[TrialRecord]) -> int:
        try:
            to_table([row_of(record) for record in records])
        except pa.ArrowException as error:
            raise TypeError(f"a value does not fit its column: {error}") from None
        return sum(self._keep(record) for record in records)

    def done(self) -> dict[str, str]:
        return {key: record.status for key, record in self._records.items()}

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        table = to_table([row_of(record) for record in self._records.values()])
        return table if columns is None else table.select(list(columns))

    def conflicts(self) -> list[Conflict]:
        return list(self._conflicts)

    def close(self) -> None:
        """Nothing to do; the rows can still be read."""

    def _keep(self, record: TrialRecord) -> bool:
        kept = self._records.get(record.trial_id)
        if kept is None or kept.status != "ok":
            self._records[record.trial_id] = record
            return True
        conflict = compare(vars(kept), vars(record)) if record.status == "ok" else None
        if conflict is not None and conflict not in self._conflicts:
            self._conflicts.append(conflict)
            self.warnings.append(str(conflict))
        return False

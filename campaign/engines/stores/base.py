"""What a result store does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from campaign.records import TrialRecord

if TYPE_CHECKING:
    import pyarrow as pa

    from campaign.engines.stores.conflicts import Conflict


class ResultStore(Protocol):
    """Rows, by trial id; one writer."""

    warnings: list[str]
    """What the user should know and what went on regardless; one line each, oldest first."""

    def append(self, records: Sequence[TrialRecord]) -> int:
        """Keep records durably; a trial that is there with status ok stays as it is.

        Returns:
            How many rows were new or replaced a failed one.

        Raises:
            SetupError: If the rows cannot be kept, such as on a full disk; none of them is.
            TypeError: If a value does not fit its column.
        """
        ...

    def done(self) -> dict[str, str]:
        """Status of every trial that has a row, by trial id."""
        ...

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Every row once, in some columns; None is all of `campaign.records.COLUMNS`."""
        ...

    def conflicts(self) -> list[Conflict]:
        """Repeated trials whose result was not the one that is kept; none in a sound campaign."""
        ...

    def close(self) -> None:
        """Make everything final and release the results."""
        ...

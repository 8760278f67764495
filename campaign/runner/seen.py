"""What rows tell of where they were computed: workers, and batches that memory made smaller."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from campaign.records import TrialRecord

BATCH = re.compile(r"\bbatch=(\d+)\b")


class Seen:
    """The workers of a run and the batches of each model.

    Args:
        batch_size: What the spec asks for, ``auto`` or images a forward pass.
    """

    def __init__(self, batch_size: int | str) -> None:
        self._asked = batch_size if isinstance(batch_size, int) else None
        self._places: set[tuple[str, str]] = set()
        self._batches: dict[str, int] = {}

    def look(self, records: Sequence[TrialRecord]) -> Iterator[str]:
        """A line for each model that is evaluated in smaller batches than before."""
        for record in records:
            self._places.add((record.host, record.device))
            found = BATCH.search(record.compute)
            if found is None:
                continue
            size = int(found[1])
            before = self._batches.get(record.model, self._asked or size)
            self._batches[record.model] = min(size, before)
            if size < before:
                yield (
                    f"warning: memory of {record.host} does not hold {before} images of "
                    f"{record.model} at once: evaluated in batches of {size}"
                )

    def workers(self) -> list[dict[str, str]]:
        """Host and device of every worker, sorted."""
        return [{"host": host, "device": device} for host, device in sorted(self._places)]

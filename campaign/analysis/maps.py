"""Rows of one cell to the history that decisions and estimates are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from campaign.analysis.cell import CellHistory, Estimate, independent_flips
from campaign.analysis.cell import estimate as estimate_of
from campaign.analysis.sequential import Done, Precision, Round, next_round

INDEPENDENT = "bit_flip"
"""The fault model, as rows call it, that flips each exposed bit by itself."""
COUNTS = ("n_samples", "n_correct", "n_improved", "n_fault_free", "flipped_bits", "flipped_worst")
MAP_COLUMNS = ("ber", "seed", "status", "fault", *COUNTS, "exposed_bits", "exposed_worst")
"""Columns of a row that are looked at here."""


class Clean(NamedTuple):
    """What the fault-free row of a setup says for all its cells."""

    n_images: int
    n_right: int
    exposed_bits: int
    exposed_worst: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Clean:
        """From the row of BER 0, of status ok."""
        columns = ("n_samples", "n_correct", "exposed_bits", "exposed_worst")
        return cls(*(int(row[column]) for column in columns))


FaultMap: TypeAlias = "tuple[int, ...] | None"
"""One fault map as its row has it: the columns `COUNTS`, or None where the trial failed."""


def map_of(row: Mapping[str, Any]) -> FaultMap:
    """The fault map of a row above BER 0."""
    if row["status"] != "ok":
        return None
    return tuple(int(row[column]) for column in COUNTS)


def maps_of(rows: Iterable[Mapping[str, Any]]) -> dict[int, FaultMap]:
    """The fault maps of one cell by seed.

    A seed may have failed with one number of images and be there with another, if the wanted
    precision was changed in between: then the one with a result counts.
    """
    found: dict[int, FaultMap] = {}
    for row in rows:
        seed = int(row["seed"])
        if found.get(seed) is None:
            found[seed] = map_of(row)
    return found


def cell_history(
    clean: Clean, maps: Mapping[int, FaultMap], *, ber: float, fault: str
) -> CellHistory:
    """The history of a cell: seeds 0, 1, ... up to the first that has no row yet.

    Args:
        clean: Of its setup.
        maps: By seed.
        ber: Bit error rate of the cell.
        fault: The fault model, as rows call it.
    """
    counts, failed, seed = list[tuple[int, ...]](), list[int](), 0
    while seed in maps:
        found = maps[seed]
        if found is None:
            failed.append(seed)
        else:
            counts.append(found)
        seed += 1
    table = np.array(counts, dtype=np.int64).reshape(-1, len(COUNTS))
    chances = None
    if fault == INDEPENDENT:
        chances = independent_flips(ber, clean.exposed_bits, clean.exposed_worst)
    columns = dict(zip(COUNTS, table.T, strict=True))
    return CellHistory(
        clean.n_images, clean.n_right, **columns, chances=chances, failed=tuple(failed)
    )


class Standing(NamedTuple):
    """How far a cell is."""

    decision: Round | Done
    """What is to be done next."""
    decided: int
    """Seeds of the complete rounds."""

    @property
    def needed(self) -> int:
        """Seeds that the cell takes as far as is known, its next round included."""
        if isinstance(self.decision, Done):
            return self.decided
        return self.decided + self.decision.seeds


def standing(history: CellHistory, precision: Precision, decided: int = 0) -> Standing:
    """The first round of which not all maps are in `history`, or the end.

    Args:
        history: The rows so far.
        precision: What is wanted.
        decided: Seeds of complete rounds that are known to be past, to save their replay.
    """
    while True:
        decision = next_round(history.first(decided), precision)
        if isinstance(decision, Done) or decided + decision.seeds > history.seeds:
            return Standing(decision, decided)
        decided += decision.seeds


class Told(NamedTuple):
    """What is said of a cell."""

    estimate: Estimate
    stop: str
    """Why it has as many maps as it has: ``precise``, ``max_seeds``, ``failed``, or ``open`` while
    maps are still to come."""
    failed: int
    """Seeds of the estimate without a result."""


def told(history: CellHistory, precision: Precision) -> Told:
    """The estimate of a cell: where its decisions ended, else of all maps so far."""
    found = standing(history, precision)
    if isinstance(found.decision, Done):
        estimate, stop = found.decision.estimate, found.decision.reason
    else:
        estimate, stop = estimate_of(history, precision.confidence), "open"
    return Told(estimate, stop, sum(place < estimate.seeds for place in history.failed))

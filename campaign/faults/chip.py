"""The failing cells of a recorded chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

from campaign.bits import stored_bits
from campaign.faults.base import FAULTS, FaultModel
from campaign.faults.exposed import Exposed, FieldKey
from campaign.faults.streams import Stream
from campaign.lazy import np
from campaign.registry import describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from campaign.bits import Words

Columns = Mapping[str, "NDArray[np.generic]"]


@FAULTS.register
@dataclass(frozen=True)
class ChipMap(FaultModel):
    """Cells fail that failed on a recorded chip, from the rate or voltage on that was measured.

    The file (.npz of arrays, .npy of named fields, .csv with a header) has the columns ``cell``
    (its address, from 0, each once) and either ``rate`` (it fails from this ber on) or ``voltage``
    (it fails at this and lower voltages). At a ber, a chip measured over voltages stands at the
    lowest voltage at which at most this share of its cells fails. A third column ``value`` makes
    cells stuck at 0 or 1; without it a failing cell flips what it holds. The memory is mapped
    linearly: payloads one after another, then check words, from a cell that the seed draws, again
    from cell 0 after the last. Rates above those recorded fail no further cells. The content of
    the file is part of the identity of a trial. Failing cells are nested across BER.
    Cost: O(flips + failing cells) time and memory. Source: profiled chips of Stutz et al., MLSys
    2021 (arXiv 2006.13977).

    Args:
        file: The recorded cells.
        cells: How many cells the chip has, failing or not.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "chip_map"

    file: Annotated[str, Field(min_length=1)]
    cells: Annotated[int, Field(ge=1, strict=True)]

    @property
    def label(self) -> str:
        file = self.file.replace("\\", "/").rpartition("/")[2]
        return describe(self.name, {"file": file, "cells": self.cells})

    @property
    def reads(self) -> str:
        return self.file

    def loaded(self, columns: Columns) -> RecordedChip:
        return RecordedChip.of(columns, self.cells)

    def sample(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        raise ValueError(f"{self.file} has not been read: sample what `loaded` gives")


@dataclass(frozen=True, eq=False)
class RecordedChip(FaultModel):
    """A `chip_map` with what its file holds.

    Args:
        size: Cells of the chip.
        cells: Those that fail at some rate, int64, ascending and distinct.
        rates: From which rate on each of them fails.
        values: What each of them is stuck at, 0 or 1; None where it flips.
    """

    name: ClassVar[str] = "chip_map"

    size: int
    cells: NDArray[np.int64]
    rates: NDArray[np.float64]
    values: NDArray[np.uint8] | None

    @classmethod
    def of(cls, columns: Columns, size: int) -> RecordedChip:
        """The chip of a file's columns.

        Raises:
            ValueError: If a column is missing or unknown, or holds what it cannot.
        """
        level = next((name for name in ("rate", "voltage") if name in columns), "rate")
        if not {"cell", level} <= set(columns) <= {"cell", level, "value"}:
            held = ", ".join(columns) or "none"
            raise ValueError(f"got columns {held}; allowed: cell, rate or voltage, and value")
        table = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
        if len({column.shape for column in table.values()}) > 1 or table["cell"].ndim != 1:
            raise ValueError("the columns are not lists of one length")
        _check(table, size)
        order = np.argsort(table["cell"])
        rates = table["rate"] if level == "rate" else _shares(table["voltage"], size)
        values = table["value"][order].astype(np.uint8) if "value" in table else None
        return cls(size, table["cell"][order].astype(np.int64), rates[order], values)

    def sample(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        return self.sample_alone(words, ber, stream)

    def sample_all(
        self, memory: Mapping[FieldKey, Exposed], ber: float, seed: int
    ) -> dict[FieldKey, NDArray[np.int64]]:
        failing = np.flatnonzero(self.rates <= ber) if ber > 0 else np.empty(0, dtype=np.int64)
        place = int(Stream(seed, "", self.name, 1).uniform(1)[0] * self.size)
        found = {}
        for key in sorted(memory, key=lambda key: key.field != "payload"):  # stable: in order
            exposed = memory[key]
            found[key] = self._hit(exposed, failing, place)
            place = (place + exposed.words.bits) % self.size
        return found

    def _hit(self, exposed: Exposed, failing: NDArray[np.int64], start: int) -> NDArray[np.int64]:
        """The flips of words whose first bit lies in cell `start`."""
        bits = exposed.words.bits
        rounds = np.arange(-(-(start + bits) // self.size), dtype=np.int64) * self.size - start
        positions = (rounds[:, None] + self.cells[failing]).reshape(-1)
        inside = (positions >= 0) & (positions < bits)
        positions, failing = positions[inside], np.tile(failing, rounds.size)[inside]
        kept = exposed.may_flip(positions)
        if self.values is not None:
            kept &= stored_bits(exposed.words, positions) != self.values[failing]
        return positions[kept]


def _check(table: Mapping[str, NDArray[np.float64]], size: int) -> None:
    """Refuse values that a column cannot have."""
    cells = table["cell"]
    wrong = cells[~((cells >= 0) & (cells < size) & (cells == np.floor(cells)))]
    if wrong.size:
        raise ValueError(f"cell {wrong[0]:g} is no address; allowed: whole numbers 0..{size - 1}")
    if np.unique(cells).size < cells.size:
        raise ValueError("a cell stands twice")
    rate, voltage, value = (table.get(name, cells[:0]) for name in ("rate", "voltage", "value"))
    if not bool(((rate > 0) & (rate <= 1)).all()):
        raise ValueError("column rate: allowed: above 0 and at most 1")
    if not bool(np.isfinite(voltage).all()):
        raise ValueError("column voltage: allowed: finite numbers")
    if not bool(((value == 0) | (value == 1)).all()):
        raise ValueError("column value: allowed: 0 and 1")


def _shares(voltages: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """For each cell, the share of all cells that fail at the voltage from which on it fails."""
    ordered = np.sort(voltages)
    return (voltages.size - np.searchsorted(ordered, voltages)) / size

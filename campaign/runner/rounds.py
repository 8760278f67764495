"""Which trials are next where a precision is wanted: cell by cell, round by round.

A cell is a setup at one BER. Its next round is decided when all rows of its last one are in, by
those rows alone, so neither the order in which rows come nor an interruption has a say in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from campaign.analysis.maps import (
    MAP_COLUMNS,
    Clean,
    FaultMap,
    Standing,
    cell_history,
    map_of,
    maps_of,
    standing,
)
from campaign.analysis.sequential import Done, Precision
from campaign.records import TrialRecord
from campaign.spec.expand import SetupGrid
from campaign.spec.grid import Point, Setup, SetupPoints, points_of, sampled_point
from campaign.text import rate_text

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]


@dataclass(eq=False)
class _Cell:
    """One cell: its fault maps so far, and how far that takes it."""

    setup: Setup
    ber: float
    maps: dict[int, FaultMap]
    awaited: set[int] = field(default_factory=set)
    """Seeds that were handed out and are not in."""
    standing: Standing | None = None
    """None before the fault-free trial is in."""

    def go_on(self, clean: Clean, precision: Precision) -> list[Point]:
        """Decide; the points that are to be run, none at the end."""
        history = cell_history(clean, self.maps, ber=self.ber, fault=self.setup.fault_name)
        decided = 0 if self.standing is None else self.standing.decided
        self.standing = standing(history, precision, decided)
        decision = self.standing.decision
        if isinstance(decision, Done):
            return []
        seeds = range(decision.first, decision.first + decision.seeds)
        missing = [seed for seed in seeds if seed not in self.maps]
        self.awaited = set(missing)
        return [sampled_point(self.setup, self.ber, seed, decision.images) for seed in missing]

    def needed(self, precision: Precision) -> int:
        """Seeds that it takes as far as is known."""
        if self.standing is None:
            return min(precision.min_seeds, precision.max_seeds)
        return self.standing.needed


@dataclass(eq=False)
class _Line:
    """A setup: its fault-free trial, and its cells by BER."""

    setup: Setup
    first: Point
    """The fault-free trial."""
    cells: dict[float, _Cell]
    clean: Clean | None = None
    failed: bool = False
    """The fault-free trial has no result."""


class Count(NamedTuple):
    """Trials of a setup: as many as are known to be needed, with a result, failed."""

    total: int
    ok: int
    failed: int


class Rounds:
    """What is to be run of a campaign that wants a precision.

    Args:
        grids: Every setup, with the BER-0 cell that each has.
        precision: What is wanted of each mean.
        rows_of: The rows so far of a setup, each trial once.
        keep_failed: Take failed trials as spent; else they are to be tried again.
    """

    def __init__(
        self,
        grids: Iterable[SetupGrid],
        precision: Precision,
        rows_of: Callable[[Setup], Iterable[Row]],
        *,
        keep_failed: bool,
    ) -> None:
        self.precision = precision
        self._lines: dict[tuple[str | int, ...], _Line] = {}
        for grid in grids:
            rows = [r for r in rows_of(grid.setup) if keep_failed or r["status"] == "ok"]
            self._lines[grid.setup.key] = _line(grid, rows)
        for line in self._lines.values():
            self._begin(line)

    def first(self) -> list[SetupPoints]:
        """What can be run at once, by setup."""
        tasks = []
        for line in self._lines.values():
            points = [line.first] if line.clean is None and not line.failed else []
            points += [point for cell in line.cells.values() for point in self._missing(cell)]
            tasks += [SetupPoints(line.setup, tuple(points))] if points else []
        return tasks

    def follow(self, records: Sequence[TrialRecord]) -> list[SetupPoints]:
        """What can be run now that these rows are in; each row is to be told once."""
        tasks = []
        by_id = {line.setup.setup_id: line for line in self._lines.values()}
        for record in records:
            line = by_id[record.setup_id]
            points = self._take(line, record.to_row())
            tasks += [SetupPoints(line.setup, tuple(points))] if points else []
        return tasks

    @property
    def total(self) -> int:
        """Trials that are needed as far as is known."""
        cells = (cell for line in self._lines.values() for cell in line.cells.values())
        return len(self._lines) + sum(cell.needed(self.precision) for cell in cells)

    def count(self, setup: Setup) -> Count:
        """How far a setup is; rows beyond what it needs are not counted."""
        line = self._lines[setup.key]
        total, ok, failed = 1, int(line.clean is not None), int(line.failed)
        for cell in line.cells.values():
            needed = cell.needed(self.precision)
            maps = [held for seed, held in cell.maps.items() if seed < needed]
            total, bad = total + needed, sum(held is None for held in maps)
            ok, failed = ok + len(maps) - bad, failed + bad
        return Count(total, ok, failed)

    def capped(self) -> list[str]:
        """A line for each cell that reached ``max_seeds`` before the precision."""
        return [
            f"{line.setup.label} at {rate_text(cell.ber)}: known to "
            f"{100 * found.estimate.half_width:.2g} points after {found.estimate.seeds} seeds"
            for line in self._lines.values()
            for cell in line.cells.values()
            if cell.standing is not None
            and isinstance(found := cell.standing.decision, Done)
            and found.reason == "max_seeds"
        ]

    def _take(self, line: _Line, row: Row) -> list[Point]:
        """One more row of a setup; the points that it makes due."""
        ok = row["status"] == "ok"
        if row["ber"] == 0:
            line.clean, line.failed = Clean.of(row) if ok else None, not ok
            return self._begin(line)
        cell, seed = line.cells[row["ber"]], int(row["seed"])
        if seed not in cell.awaited or line.clean is None:
            return []
        cell.awaited.discard(seed)
        cell.maps[seed] = map_of(row)
        return [] if cell.awaited else cell.go_on(line.clean, self.precision)

    def _begin(self, line: _Line) -> list[Point]:
        """The first points of all cells, once the fault-free trial is in."""
        if line.clean is None:
            return []
        cells = line.cells.values()
        return [point for cell in cells for point in cell.go_on(line.clean, self.precision)]

    def _missing(self, cell: _Cell) -> list[Point]:
        """What was due when the rounds were made, and is not in."""
        if cell.standing is None or isinstance(decision := cell.standing.decision, Done):
            return []
        seeds = sorted(cell.awaited)
        return [sampled_point(cell.setup, cell.ber, seed, decision.images) for seed in seeds]


def rows_by_setup(rows: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """What decisions look at of every row, by setup id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.select(["setup_id", *MAP_COLUMNS]).to_pylist():
        found.setdefault(row["setup_id"], []).append(row)
    return found


def _line(grid: SetupGrid, rows: Sequence[Row]) -> _Line:
    """A setup with what its rows say."""
    setup = grid.setup
    (first,) = points_of(setup, [0.0], [0])
    by_ber: dict[float, list[Row]] = {cell.ber: [] for cell in grid.cells}
    for row in rows:
        by_ber.setdefault(row["ber"], []).append(row)
    bers = [cell.ber for cell in grid.cells if cell.ber > 0]
    cells = {ber: _Cell(setup, ber, maps_of(by_ber[ber])) for ber in bers}
    free = by_ber.get(0.0, [])
    held = next((row for row in free if row["status"] == "ok"), None)
    failed = held is None and bool(free)
    return _Line(setup, first, cells, None if held is None else Clean.of(held), failed)

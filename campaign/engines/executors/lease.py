"""Which worker runs which points next: batches, their size, and what a death costs."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from campaign.records import TrialRecord
from campaign.spec.grid import Point, Setup, SetupPoints

FIRST_POINTS = 2
"""Trials in a batch of a setup whose speed is not known: one that prepares, one that is timed."""
HANDED_SECONDS = 2.0
"""A setup that takes longer to prepare is worth handing on."""
MOST_POINTS = 512
"""Trials in the largest batch."""
NEWEST_WEIGHT = 0.3
"""Weight of the newest rows in the estimate of seconds per trial."""


@dataclass(eq=False)
class Lease:
    """Points of one setup that one worker holds until their rows are in.

    Args:
        setup: What the points belong to.
        attempt: 1 for the first try.
        pending: Points whose row is not in, by trial id, in the order they run.
        prepares: The worker prepares the setup first, so the first row is slow.
        alone: The one point is suspected of having killed a worker: nothing else is in flight.
        worker: The number of the worker.
        handed: The worker takes over what another one has answered.
    """

    setup: Setup
    attempt: int
    pending: dict[str, Point]
    prepares: bool = False
    alone: bool = False
    worker: int = 0
    handed: bool = False
    received: int = 0


@dataclass(frozen=True)
class GivenUp:
    """A trial that killed its worker too often."""

    setup: Setup
    point: Point
    attempt: int


@dataclass(eq=False)
class _Line:
    """The points of one setup that wait, and how quick its trials are."""

    setup: Setup
    points: deque[Point]
    suspects: deque[Point] = field(default_factory=deque)
    seconds: float | None = None
    """Of a trial; None until one was timed."""
    slowest: float = 0.0
    """Of the trials that were timed."""
    preparing: float = 0.0
    """Seconds until the first row of a worker that prepared the setup."""
    taking_over: float | None = None
    """The same of one that took over what another had answered; None where none did."""
    holders: set[int] = field(default_factory=set)
    ready: set[int] = field(default_factory=set)
    """Holders that gave a row."""

    def gains_from(self) -> float:
        """Seconds of waiting work that one more worker would take over, less its preparing."""
        if self.seconds is None:
            return math.inf
        begins = self.preparing if self.taking_over is None else self.taking_over
        return self.seconds * len(self.points) / (len(self.holders) + 1) - begins

    def prepared(self, lease: Lease, seconds: float) -> None:
        """The first row of a worker is in, so many seconds after it took the setup up."""
        if lease.worker in self.holders:  # else it has taken up another setup
            self.ready.add(lease.worker)
        if lease.handed:
            self.taking_over = seconds
        else:
            self.preparing = max(self.preparing, seconds)


class LeaseQueue:
    """The points of a run: waiting, leased, or suspected of killing workers.

    A worker stays with the setup it has prepared. One that runs out takes a setup that nobody
    holds, or else joins the one where it saves most time.

    Args:
        tasks: Setups with their points.
        batch_seconds: How long a batch should take.
        max_attempts: Deaths after which a trial is given up. It must have run alone at the last,
            so that no other can have caused it.
    """

    def __init__(
        self, tasks: Sequence[SetupPoints], *, batch_seconds: float, max_attempts: int
    ) -> None:
        self._batch_seconds, self._max_attempts = batch_seconds, max_attempts
        self._lines: dict[str, _Line] = {}
        self._held: dict[int, _Line] = {}
        self._deaths: dict[str, int] = {}
        self.queued = 0
        """Points that no worker holds."""
        self.retried = 0
        """Points that were put back because their worker died."""
        self.add(tasks)

    def add(self, tasks: Sequence[SetupPoints]) -> None:
        """Take more points in, behind those of their setup."""
        for task in tasks:
            line = self._lines.setdefault(task.setup.setup_id, _Line(task.setup, deque()))
            line.points.extend(task.points)
            self.queued += len(task.points)

    def take(self, worker: int, *, workers: int, idle: bool) -> Lease | None:
        """The next batch for a worker, None when there is none for it now.

        Args:
            worker: Its number.
            workers: How many share what is left.
            idle: It holds no other lease; only then may it get a suspect.
        """
        if self.queued == 0:
            return None
        if idle and (line := self._line_with_suspect(worker)) is not None:
            point = line.suspects.popleft()
            return self._lease(line, worker, [point], alone=True)
        line = self._line_for(worker)
        if line is None:
            return None
        count = self._batch_size(line, workers)
        return self._lease(line, worker, [line.points.popleft() for _ in range(count)])

    def receive(self, lease: Lease, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Take rows in; the rows that belong to the lease and are new come back."""
        fresh = [row for row in records if lease.pending.pop(row.trial_id, None) is not None]
        line, timed = self._lines[lease.setup.setup_id], [row.seconds for row in fresh]
        if lease.prepares and lease.received == 0 and timed:
            line.prepared(lease, timed.pop(0))
        lease.received += len(fresh)
        if timed:
            line.slowest = max(line.slowest, *timed)
            newest = sum(timed) / len(timed)
            held = newest if line.seconds is None else line.seconds
            line.seconds = held + NEWEST_WEIGHT * (newest - held)
        return fresh

    def give_back(self, lease: Lease) -> None:
        """Put what is pending back in front: it was not begun, or nobody is to blame."""
        line = self._lines[lease.setup.setup_id]
        points = list(lease.pending.values())
        (line.suspects if lease.alone else line.points).extendleft(reversed(points))
        self.queued += len(points)
        lease.pending.clear()

    def drop_first(self, lease: Lease) -> Point:
        """Take out the first pending point, which has no row and gets none; put the rest back."""
        point = lease.pending.pop(next(iter(lease.pending)))
        self.give_back(lease)
        return point

    def lost(self, lease: Lease) -> list[GivenUp]:
        """The worker died in this lease: each pending point will run alone, or is given up.

        Rows that were on their way die with the worker, so any pending point may be the one that
        killed it; only running them one by one tells which.
        """
        line, given_up = self._lines[lease.setup.setup_id], list[GivenUp]()
        for point in lease.pending.values():
            deaths = self._deaths[point.trial_id] = self._deaths.get(point.trial_id, 0) + 1
            if lease.alone and deaths >= self._max_attempts:
                given_up.append(GivenUp(lease.setup, point, lease.attempt))
                continue
            line.suspects.append(point)
            self.queued += 1
            self.retried += 1
        lease.pending.clear()
        return given_up

    def leave(self, worker: int) -> None:
        """The worker is gone: it holds no setup."""
        line = self._held.pop(worker, None)
        if line is not None:
            line.holders.discard(worker)
            line.ready.discard(worker)

    def waits(self, setup_id: str) -> bool:
        """Whether points of a setup are queued."""
        line = self._lines.get(setup_id)
        return line is not None and bool(line.points or line.suspects)

    def prepared_by(self, lease: Lease) -> list[int]:
        """The other workers that have the setup ready, if it takes long to prepare."""
        line = self._lines[lease.setup.setup_id]
        return sorted(line.ready - {lease.worker}) if line.preparing > HANDED_SECONDS else []

    def slowest_seconds(self, lease: Lease) -> float | None:
        """Seconds of the slowest row so far that was like the next one; None if there was no row.

        Rows before which the setup was prepared count where the next one is such a row, or where
        there is no other.
        """
        line = self._lines[lease.setup.setup_id]
        prepares = lease.prepares and lease.received == 0
        slowest = max(line.slowest, line.preparing) if prepares else line.slowest
        return slowest or line.preparing or None

    def _lease(
        self, line: _Line, worker: int, points: Sequence[Point], *, alone: bool = False
    ) -> Lease:
        prepares = self._held.get(worker) is not line
        if prepares:
            self.leave(worker)
            self._held[worker] = line
            line.holders.add(worker)
        self.queued -= len(points)
        attempt = self._deaths.get(points[0].trial_id, 0) + 1
        return Lease(line.setup, attempt, {p.trial_id: p for p in points}, prepares, alone, worker)

    def _line_with_suspect(self, worker: int) -> _Line | None:
        held = self._held.get(worker)
        if held is not None and held.suspects:
            return held
        return next((line for line in self._lines.values() if line.suspects), None)

    def _line_for(self, worker: int) -> _Line | None:
        held = self._held.get(worker)
        if held is not None and held.points:
            return held
        waiting = [line for line in self._lines.values() if line.points]
        free = next((line for line in waiting if not line.holders), None)
        if free is not None or not waiting:
            return free
        best = max(waiting, key=_Line.gains_from)
        return best if best.gains_from() > 0 else None

    def _batch_size(self, line: _Line, workers: int) -> int:
        if line.seconds is None:
            return min(FIRST_POINTS, len(line.points))
        fitting = self._batch_seconds / max(line.seconds, self._batch_seconds / MOST_POINTS)
        fair = math.ceil(self.queued / (2 * workers))
        return max(1, min(int(fitting), fair, len(line.points)))

"""The driver's loop: lease batches to workers, take rows in, replace the dead.

The driver owns every point and Ray retries nothing, so that a trial is never lost, and never
blamed for the death of a node.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from campaign.engines.executors.base import Failure, Work
from campaign.engines.executors.causes import Died, Raised
from campaign.engines.executors.fit_pool import FitPool
from campaign.engines.executors.handing import Handing
from campaign.engines.executors.lease import Lease, LeaseQueue
from campaign.engines.executors.limits import Limits
from campaign.engines.executors.seat import Flight, Seat
from campaign.errors import SetupError
from campaign.records import TrialRecord

if TYPE_CHECKING:
    from campaign.engines.executors.ray import RayCluster

IN_FLIGHT = 2
"""Leases of a worker: one that runs and one that waits, so that it is never idle."""
POLL_SECONDS = 0.2
LOOK_SECONDS = 10.0
"""How often the nodes of the cluster are counted."""
PLACE_SECONDS = 600.0
"""How long a joined cluster that has no room may take to grow."""
PING_SECONDS = 60.0
OPENING_DEATHS = 3
"""Workers in a row that may die while they open."""
CRASHES_IN_A_ROW = 10
"""Trials given up with no row between them: then the machine is to blame, not the trials."""


class Pool:
    """The workers of one run, and the loop that feeds them.

    Args:
        cluster: Where workers are hired.
        queue: What is to be run.
        work: Makes the records of trials that gave none.
        limits: How many, how long.
        fits: Trainings, whose trials come into the queue when they have ended.
    """

    def __init__(
        self, cluster: RayCluster, queue: LeaseQueue, work: Work, limits: Limits, fits: FitPool
    ) -> None:
        self._cluster, self._queue, self._work, self._limits = cluster, queue, work, limits
        self._fits, self._handing = fits, Handing(queue)
        self._seats: dict[int, Seat] = {}
        self._hired = self._refused = self._restarts = 0
        self._opening_deaths = self._crashes = 0
        self._next_look = 0.0
        self._begun = time.monotonic()
        self._halted_at: float | None = None

    def rows(self, stopping: Callable[[], bool]) -> Iterator[list[TrialRecord]]:
        """Every record of the run, or those that are finished when `stopping` comes true.

        Raises:
            SetupError: If no worker can be placed or opened, or trial after trial kills its
                worker.
        """
        try:
            while not self._is_finished():
                if stopping():
                    self._halt()
                    self._fits.halt()
                yield from self._trained()
                if not stopping():
                    self._grow()
                    self._fill()
                yield from self._collect()
            self._fits.abandon()
        finally:
            self._fits.close()
            for seat in list(self._seats.values()):
                self._remove(seat)

    def _trained(self) -> Iterator[list[TrialRecord]]:
        """News of trainings; trials that have become ready may want more workers."""
        waiting = self._fits.trials
        yield from self._fits.turn()
        if self._fits.trials != waiting:
            self.look_again()

    def look_again(self) -> None:
        """There is more in the queue: grow at once where that helps."""
        self._next_look = 0.0

    def status(self) -> dict[str, int]:
        """See `Executor.status`."""
        seats = list(self._seats.values())
        flights = [flight for seat in seats for flight in list(seat.flights)]
        return {
            "workers": sum(seat.opening is None for seat in seats),
            "busy": sum(bool(seat.flights) for seat in seats),
            "restarts": self._restarts,
            "retried": self._queue.retried,
            "queued": self._queue.queued + self._fits.trials,
            "in_flight": sum(len(flight.lease.pending) for flight in flights),
        }

    def _is_finished(self) -> bool:
        flying = any(seat.flights for seat in self._seats.values())
        if self._halted_at is not None:
            overdue = time.monotonic() - self._halted_at > self._limits.grace_seconds
            return overdue or not (flying or self._fits.is_open)
        return self._queue.queued == 0 and not flying and not self._fits.is_open

    def _halt(self) -> None:
        """Ask every worker, once, to end after its current trial."""
        if self._halted_at is not None:
            return
        self._halted_at = time.monotonic()
        for seat in list(self._seats.values()):
            if seat.flights:
                seat.worker.stop()
            else:
                self._remove(seat)

    def _grow(self) -> None:
        """Bring the pool to its size: at the start, after a death, and when nodes have joined."""
        now = time.monotonic()
        useful = sum(bool(seat.flights) for seat in self._seats.values()) + self._queue.queued
        if now < self._next_look or useful <= len(self._seats):
            return
        self._next_look = now + LOOK_SECONDS
        room = self._fits.room()
        if room == 0 and not self._seats:
            if not self._fits.is_open:
                self._wait_for_room(now)
            return
        wanted = room if self._limits.workers == "auto" else self._limits.workers
        wanted = min(wanted, room) if self._fits.is_open else wanted
        for _ in range(min(wanted - self._refused, useful) - len(self._seats)):
            self._hire(now)

    def _wait_for_room(self, now: float) -> None:
        if self._cluster.local or now - self._begun > PLACE_SECONDS:
            raise SetupError(
                f"no node of the Ray cluster has room for a worker of {self._cluster.cpus} CPUs "
                f"and {self._cluster.gpus:g} GPUs; all of it has {self._cluster.inventory()}; "
                "lower engine.cpus_per_worker or engine.gpus_per_worker"
            )

    def _hire(self, now: float) -> None:
        self._hired += 1
        worker = self._cluster.hire()
        self._seats[self._hired] = Seat(self._hired, worker, worker.open(), now)

    def _remove(self, seat: Seat) -> None:
        del self._seats[seat.number]
        self._queue.leave(seat.number)
        seat.worker.kill()
        self._next_look = 0.0

    def _fill(self) -> None:
        for seat in self._seats.values():
            while seat.opening is None and len(seat.flights) < IN_FLIGHT:
                if seat.flights and seat.flights[0].lease.alone:
                    break
                idle = not seat.flights
                lease = self._queue.take(seat.number, workers=len(self._seats), idle=idle)
                if lease is None:
                    break
                if idle:
                    seat.heard = time.monotonic()
                handed = self._handing.of(lease, self._seats)
                lease.handed = handed is not None
                stream = seat.worker.run(lease, 2 * self._limits.batch_seconds, handed)
                seat.flights.append(Flight(lease, stream))

    def _collect(self) -> Iterator[list[TrialRecord]]:
        """Read what has come, after waiting a moment for something to come."""
        awaited = {seat.awaited: seat for seat in self._seats.values() if seat.awaited is not None}
        if not awaited:
            time.sleep(POLL_SECONDS)
            return
        ready = self._cluster.ready(list(awaited), POLL_SECONDS)
        silent = [seat for key, seat in awaited.items() if key not in ready]
        for seat in (awaited[key] for key in ready):
            seat.heard, seat.asked = time.monotonic(), None
            if seat.opening is not None:
                self._opened(seat, seat.worker.result(seat.opening))
            else:
                yield from self._read(seat)
        for seat in silent:
            if seat.opening is not None:
                self._check_opening(seat)
            else:
                yield from self._check_silence(seat)

    def _check_opening(self, seat: Seat) -> None:
        """Kill a worker that is deaf while it opens; one that waits for a node may wait."""
        now = time.monotonic()
        if seat.asked is None:
            if not seat.placed or now - seat.heard > self._limits.patience_seconds:
                seat.asked = (seat.worker.ping(), now)
        elif self._cluster.ready([seat.asked[0]], 0.0):
            seat.heard, seat.asked, seat.placed = now, None, True
        elif seat.placed and now - seat.asked[1] > PING_SECONDS:
            self._opened(seat, Died("TimeoutError", "it answered no more while it opened"))

    def _opened(self, seat: Seat, outcome: Raised | Died | None) -> None:
        """A worker is open, or did not open: then do without it, unless it was the last one."""
        if outcome is None:
            seat.opening, self._opening_deaths = None, 0
            return
        self._remove(seat)
        if isinstance(outcome, Died):
            self._opening_deaths += 1
            self._restarts += 1
            if self._opening_deaths < OPENING_DEATHS:
                return
        self._refused += 1
        if not self._seats:
            raise SetupError(f"no Ray worker can run trials: {outcome.kind}: {outcome.text}")

    def _read(self, seat: Seat) -> Iterator[list[TrialRecord]]:
        lease, stream = seat.flights[0]
        found = seat.worker.next_rows(stream)
        if isinstance(found, Died):
            yield from self._bury(seat, found)
        elif isinstance(found, Raised):
            seat.flights.popleft()
            yield self._fail_first(lease, found)
        elif found is None:
            seat.flights.popleft()
            yield from self._ended(lease)
        else:
            self._crashes = 0
            fresh = self._queue.receive(lease, found)
            if not lease.pending:
                seat.flights.popleft()
            yield fresh

    def _ended(self, lease: Lease) -> Iterator[list[TrialRecord]]:
        """A batch ended before its last point: out of time or stopped, or the worker errs."""
        if lease.received or self._halted_at is not None:
            self._queue.give_back(lease)
        else:
            yield self._fail_first(lease, Raised("RuntimeError", "the worker gave no record"))

    def _fail_first(self, lease: Lease, reason: Raised) -> list[TrialRecord]:
        point = self._queue.drop_first(lease)
        failure = Failure("error", reason.kind, reason.text, lease.attempt)
        return [self._work.failed(lease.setup, point, failure)]

    def _bury(self, seat: Seat, death: Died) -> Iterator[list[TrialRecord]]:
        """Replace a worker; only the lease that it was running can have killed it."""
        self._remove(seat)
        self._restarts += 1
        running, *waiting = (flight.lease for flight in seat.flights)
        for lease in waiting:
            self._queue.give_back(lease)
        if death.preempted or self._halted_at is not None:
            self._queue.give_back(running)
            return
        for lost in self._queue.lost(running):
            self._crashes += 1
            yield [self._work.failed(lost.setup, lost.point, death.blame(lost.attempt))]
        if self._crashes >= CRASHES_IN_A_ROW:
            raise SetupError(
                f"{self._crashes} trials in a row killed their worker, the last one by "
                f"{death.kind}: {death.text}; see whether memory is enough for "
                f"{len(self._seats) + 1} workers, or lower engine.workers"
            )

    def _check_silence(self, seat: Seat) -> Iterator[list[TrialRecord]]:
        """Kill a worker that hangs: silent for long, measured by its setup, or deaf to a ping."""
        now, lease = time.monotonic(), seat.flights[0].lease
        silence, floor = now - seat.heard, self._limits.patience_seconds
        if silence < floor:
            return
        slowest = self._queue.slowest_seconds(lease)
        if slowest is not None:
            hangs = silence > 20 * slowest
        elif seat.asked is None:
            seat.asked = (seat.worker.ping(), now)
            return
        else:
            call, since = seat.asked
            if self._cluster.ready([call], 0.0):
                seat.heard, seat.asked = now, None
            hangs = seat.asked is not None and now - since > min(PING_SECONDS, floor)
        if hangs:
            yield from self._bury(seat, Died("TimeoutError", f"no row for {silence:.0f} s"))

"""From which worker another one takes over what a setup answers without faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from campaign.engines.executors.lease import Lease, LeaseQueue
from campaign.engines.executors.seat import Seat


class Handing:
    """References of fault-free answers, asked for when a second worker takes a setup up.

    The driver owns what it asked for, so it outlives the worker that answered; where it is lost
    with a node all the same, whoever wants it prepares the setup anew.

    Args:
        queue: Knows which workers have prepared a setup, and whether that took long.
    """

    def __init__(self, queue: LeaseQueue) -> None:
        self._queue = queue
        self._held: dict[str, tuple[int, Any]] = {}

    def of(self, lease: Lease, seats: Mapping[int, Seat]) -> Any:  # noqa: ANN401
        """The reference for a lease that begins with preparing; None where none is of use."""
        if not lease.prepares:
            return None
        key = lease.setup.setup_id
        self._held = {k: held for k, held in self._held.items() if self._queue.waits(k)}
        ready = [number for number in self._queue.prepared_by(lease) if number in seats]
        if ready and self._held.get(key, (0, None))[0] not in ready:
            self._held[key] = ready[0], seats[ready[0]].worker.share(key)
        return self._held.get(key, (0, None))[1]

"""One worker as the driver sees it, with what it holds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from campaign.engines.executors.lease import Lease

if TYPE_CHECKING:
    from campaign.engines.executors.ray import RayWorker


class Flight(NamedTuple):
    """A lease on its way, and the stream of its rows."""

    lease: Lease
    stream: Any


@dataclass(eq=False)
class Seat:
    """One worker as the driver sees it."""

    number: int
    worker: RayWorker
    opening: Any
    """Done when the worker is open; None from then on."""
    heard: float
    """When its last sign of life came, on the monotonic clock."""
    flights: deque[Flight] = field(default_factory=deque)
    asked: tuple[Any, float] | None = None
    """A ping without an answer so far, and when it was sent."""

    @property
    def awaited(self) -> Any:  # noqa: ANN401
        """What the driver waits for from this worker, None if for nothing."""
        if self.opening is not None:
            return self.opening
        return self.flights[0].stream if self.flights else None

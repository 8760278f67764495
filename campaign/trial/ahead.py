"""The flips of the next trial, drawn while the present one is evaluated."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from campaign.spec.grid import Point
from campaign.trial.setup import Prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from campaign.faults import FieldKey
    from campaign.faults.subject import Flips


class _Pending(NamedTuple):
    """A trial whose flips are being drawn."""

    prepared: Prepared
    point: Point
    flips: Future[dict[FieldKey, NDArray[np.int64]]]


class DrawsAhead:
    """One thread that is at most one trial ahead.

    Flips depend on the point and on what is stored, which no trial changes, so they are those that
    the trial would draw itself; what raises there raises here. It pays where the processor waits
    while a trial is evaluated: for a device, or with threads to spare.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="draws")
        self._pending: _Pending | None = None

    def flips(self, prepared: Prepared, point: Point, following: Point | None) -> Flips | None:
        """The flips of `point` where they were drawn ahead; those of `following` are begun.

        Attacks look at the live network and are left to their trials.
        """
        held, self._pending = self._pending, None
        known = held is not None and held.prepared is prepared and held.point == point
        found = held.flips.result() if held is not None and known else None
        fault = prepared.setup.fault
        if following is not None and not fault.attacks:
            memory = prepared.subject.memory
            drawn = self._thread.submit(fault.sample_all, memory, following.ber, following.seed)
            self._pending = _Pending(prepared, following, drawn)
        return found

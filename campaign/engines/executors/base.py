"""What an executor takes and gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from campaign.records import Failure as Failure
from campaign.records import TrialRecord
from campaign.spec.grid import Point, Setup, SetupPoints

if TYPE_CHECKING:
    from campaign.engines.executors.fits import Fit


class LostAssetError(LookupError):
    """A shared value is gone with who held it."""


class Worker(Protocol):
    """Keeps device, dataset, model and setup warm between batches."""

    def trials(self, setup: Setup, points: Sequence[Point], attempt: int) -> Iterator[TrialRecord]:
        """One record for each point, in order; a trial that raises gives one of status error."""
        ...


@runtime_checkable
class Sharer(Protocol):
    """A worker that hands on what is slow to prepare; called while `Worker.trials` runs."""

    def share(self, setup_id: str) -> object | None:
        """What spares another worker of preparing a setup; None where nothing is at hand.

        The other one finds it as the asset `Setup.answers_asset`.
        """
        ...


class Work(Protocol):
    """What workers are made from: picklable, and light until `open` is called on a worker."""

    def open(self, assets: Callable[[str], object]) -> Worker:
        """Make a worker in this process; `assets` gives the shared value of a key."""
        ...

    def failed(self, setup: Setup, point: Point, failure: Failure) -> TrialRecord:
        """The record of a trial that never returned one; called on the driver, needs no torch."""
        ...


class Executor(Protocol):
    """Runs points of setups and yields their records in any order.

    One executor serves one run: after `stop` it stays stopped.
    """

    def start(self) -> None:
        """Acquire what `run` needs, such as a cluster; a second call does nothing.

        `run` calls it too; calling it first lets the cluster come up while assets are loaded.

        Raises:
            SetupError: If the cluster cannot be started or joined.
        """
        ...

    def run(
        self,
        tasks: Sequence[SetupPoints],
        work: Work,
        assets: Mapping[str, object],
        fits: Sequence[Fit] = (),
    ) -> Iterator[list[TrialRecord]]:
        """Yield lists of records as they come, each trial at least once.

        Args:
            tasks: Setups with the points to run; batches never mix setups.
            work: What workers are made from.
            assets: Shared read-only values (numpy arrays inside), by key.
            fits: Trainings, each with the trials that wait for it; what it gives becomes an asset.
                The trials of one that fails are records of its failure.

        Raises:
            SetupError: If no worker can be opened, or the cluster is lost.
        """
        ...

    def add(self, tasks: Sequence[SetupPoints]) -> None:
        """Run these points too, as if `run` had been given them.

        To be called by who reads the rows of `run`, between two of them: what is added before the
        last row is asked for is run; after `stop` nothing is.
        """
        ...

    def stop(self) -> None:
        """Lease nothing more; `run` then ends after what is in flight. Safe in a signal handler."""
        ...

    def close(self) -> None:
        """Give back what `start` acquired; a second call does nothing."""
        ...

    def status(self) -> Mapping[str, int]:
        """What a progress line shows.

        ``workers`` that are open, ``busy`` of them, ``restarts`` of workers, ``retried`` trials,
        trials ``queued`` and ``in_flight``.
        """
        ...

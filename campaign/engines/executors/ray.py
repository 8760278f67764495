"""Run trials on Ray workers; only this file, trainings and metrics import Ray."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from campaign.engines.executors import cluster, limits, metrics
from campaign.engines.executors.actor import TrialActor
from campaign.engines.executors.base import LostAssetError, Work
from campaign.engines.executors.causes import Died, Raised, died
from campaign.engines.executors.fit_pool import FitPool
from campaign.engines.executors.fits import GRACE_SECONDS, Fit
from campaign.engines.executors.lease import Lease, LeaseQueue
from campaign.engines.executors.pool import Pool
from campaign.engines.executors.ray_fits import Process, RayFit, begun, following, got
from campaign.errors import SetupError
from campaign.lazy import LazyModule
from campaign.records import TrialRecord
from campaign.spec.grid import SetupPoints

if TYPE_CHECKING:
    import ray
else:
    ray = LazyModule("ray")  # it reads settings from the environment when it is imported


@dataclass(eq=False)
class RayExecutor:
    """A pool of warm Ray actors, one for each share of the cluster.

    Args:
        address: Cluster to join; None takes RAY_ADDRESS, else starts a local one.
        workers: How many; ``auto`` fills the cluster, also when nodes join.
        cpus_per_worker: CPUs and threads of each.
        gpus_per_worker: GPUs of each; ``auto`` is 1 where there is a GPU, else 0.
        batch_seconds: How long a batch of trials should take.
        max_attempts: Deaths of its worker after which a trial is given up.
        patience_seconds: Shortest silence of a busy worker that counts as hanging.
        grace_seconds: How long `stop` waits for trials and trainings in flight.
    """

    address: str | None = None
    workers: int | Literal["auto"] = "auto"
    cpus_per_worker: int = 1
    gpus_per_worker: float | Literal["auto"] = "auto"
    batch_seconds: float = 5.0
    max_attempts: int = 3
    patience_seconds: float = 300.0
    grace_seconds: float = GRACE_SECONDS
    _cluster: RayCluster | None = field(default=None, init=False)
    _queue: LeaseQueue | None = field(default=None, init=False)
    _pool: Pool | None = field(default=None, init=False)
    _stopping: bool = field(default=False, init=False)

    def start(self) -> None:
        self._started()

    def run(
        self,
        tasks: Sequence[SetupPoints],
        work: Work,
        assets: Mapping[str, object],
        fits: Sequence[Fit] = (),
    ) -> Iterator[list[TrialRecord]]:
        joined = self._started()
        bounds = self.workers, self.batch_seconds, self.patience_seconds, self.grace_seconds
        queue = LeaseQueue(tasks, batch_seconds=self.batch_seconds, max_attempts=self.max_attempts)
        try:
            joined.share(work, assets)
            self._queue = queue
            training = FitPool(joined, fits, queue, work, self.max_attempts)
            self._pool = Pool(joined, queue, work, limits.Limits(*bounds), training)
            yield from metrics.counted(self._pool.rows(lambda: self._stopping), self.status)
        except ray.exceptions.RayError as error:
            lost = died(error)
            raise SetupError(f"the Ray cluster is lost: {lost.kind}: {lost.text}") from error

    def add(self, tasks: Sequence[SetupPoints]) -> None:
        if self._pool is not None and self._queue is not None and tasks:
            self._queue.add(tasks)
            self._pool.look_again()

    def stop(self) -> None:
        self._stopping = True

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()
        self._cluster = None

    def status(self) -> Mapping[str, int]:
        names = ("workers", "busy", "restarts", "retried", "queued", "in_flight")
        return dict.fromkeys(names, 0) if self._pool is None else self._pool.status()

    def _started(self) -> RayCluster:
        if self._cluster is None:
            joined = RayCluster(self.address, self.cpus_per_worker, self.gpus_per_worker)
            joined.start(1 if self.workers == "auto" else self.workers)
            self._cluster = joined
        return self._cluster


class RayCluster:
    """A cluster, joined or started, and what its workers get.

    Args:
        address: Cluster to join; None takes RAY_ADDRESS, else starts a local one.
        cpus: Of each worker.
        gpus: Of each worker, or ``auto``.
    """

    def __init__(self, address: str | None, cpus: int, gpus: float | Literal["auto"]) -> None:
        self.address = address or os.environ.get("RAY_ADDRESS") or "local"
        self.local = self.address == "local"
        self.cpus, self._wanted_gpus = cpus, gpus
        self.gpus = 0.0 if gpus == "auto" else gpus
        self._owned = False
        self._work: Work | None = None
        self._assets: dict[str, object] = {}
        self._late: dict[str, object] = {}
        self._actor: Any = None

    def start(self, workers: int) -> None:
        """Join the cluster, or start a local one with room for `workers`.

        Raises:
            SetupError: If that is not possible.
        """
        cluster.check_address(self.address)
        imported = "ray" in sys.modules
        os.environ.update(cluster.driver_environment(local=self.local, imported=imported))
        for_workers = cluster.worker_environment(cpus=self.cpus, gpus=self._wanted_gpus)
        with cluster.environment(for_workers if self.local else {}):
            if not ray.is_initialized():
                self._init(workers)
                self._owned = True
        self.gpus = self.gpus_of(self._wanted_gpus)
        self._actor = self._actor_class({} if self.local else for_workers)

    def close(self) -> None:
        """Leave the cluster; one that `start` started ends."""
        if self._owned:
            ray.shutdown()
        self._owned = False

    def share(self, work: Work, assets: Mapping[str, object]) -> None:
        """Put the assets into shared memory, once; workers hired from now on run `work`."""
        self._work = work
        self._assets = {key: ray.put(value) for key, value in assets.items()}

    def publish(self, key: str, value: object) -> None:
        """Put one more asset into shared memory; workers get it with what needs it."""
        self._late[key] = ray.put(value)

    def gpus_of(self, wanted: float | Literal["auto"]) -> float:
        """How many GPUs `wanted` are here: ``auto`` is 1 where there is one, else 0."""
        return float(cluster.has_gpu(_nodes())) if wanted == "auto" else wanted

    def room(self, held: int, fit_cpus: int, fit_gpus: float) -> int:
        """How many workers the live nodes hold beside `held` trainings of such a size."""
        left = cluster.beside(_nodes(), held, cpus=fit_cpus, gpus=fit_gpus)
        return cluster.fitting_workers(left, cpus=self.cpus, gpus=self.gpus)

    def fit_room(self, cpus: int, gpus: float) -> int:
        """How many trainings of such a size the live nodes hold, if nothing else runs there."""
        return cluster.fitting_workers(_nodes(), cpus=cpus, gpus=gpus)

    def inventory(self) -> str:
        """What the cluster has, such as ``16 CPUs and 2 GPUs``."""
        held: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return f"{held.get('CPU', 0):g} CPUs and {held.get('GPU', 0):g} GPUs"

    def hire(self) -> RayWorker:
        """Ask for one more worker; it is placed as soon as a node has room."""
        return RayWorker(self._actor.remote(self._work, self._assets, _fetch), self._late)

    def train(self, fit: Fit, gpus: float) -> RayFit:
        """Begin a training as soon as a node has room."""
        return begun(fit, gpus, local=self.local)

    def ready(self, awaited: Sequence[Any], seconds: float) -> list[Any]:
        """Those calls that have something to read, after waiting for the first of them."""
        found, _ = ray.wait(list(awaited), num_returns=1, timeout=seconds)
        if found and len(awaited) > 1:
            found, _ = ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
        return list(found)

    def _init(self, workers: int) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        options |= cluster.local_options(workers * self.cpus) if self.local else {}
        try:
            ray.init(address=self.address, **options)
        except Exception as error:  # a plain one where a node did not start in time
            raise SetupError(cluster.start_problem(self.address, error)) from error

    def _actor_class(self, variables: Mapping[str, str]) -> Any:  # noqa: ANN401
        options = cluster.actor_options(self.cpus, self.gpus, variables)
        return ray.remote(**cluster.ACTOR)(TrialActor).options(**options)


class RayWorker(Process):
    """One worker; `late` are references of what trainings gave, by key, and grow."""

    def __init__(self, actor: Any, late: Mapping[str, object]) -> None:  # noqa: ANN401
        super().__init__(actor)
        self._late = late

    def open(self) -> Any:  # noqa: ANN401
        """Done when the worker can run batches; see `result`."""
        return self._actor.open.remote()

    def run(self, lease: Lease, seconds: float, handed: Any = None) -> Any:  # noqa: ANN401
        """A stream of micro-batches; see `next_rows`. What was `handed` on is a reference."""
        setup, points = lease.setup, tuple(lease.pending.values())
        keys = {setup.training.asset} & set(self._late) if setup.training else ()
        late = {key: self._late[key] for key in keys}
        late |= {} if handed is None else {setup.answers_asset: handed}
        run = self._actor.run.options(num_returns="streaming")
        return run.remote(setup, points, lease.attempt, seconds, late)

    def share(self, setup_id: str) -> Any:  # noqa: ANN401
        """A reference of what spares another worker of preparing a setup."""
        return self._actor.share.options(concurrency_group="control").remote(setup_id)

    def ping(self) -> Any:  # noqa: ANN401
        """Done when the process answers."""
        return self._actor.ping.options(concurrency_group="control").remote()

    def result(self, call: Any) -> Raised | Died | None:  # noqa: ANN401
        """How a finished call went: None is well."""
        outcome = got(call)
        return outcome if isinstance(outcome, Raised | Died) else None

    def next_rows(self, stream: Any) -> list[TrialRecord] | Raised | Died | None:  # noqa: ANN401
        """What a ready stream holds next: rows, an error, or None at its end."""
        rows: list[TrialRecord] | Raised | Died | None = following(stream)
        return rows


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes


def _fetch(reference: Any, seconds: float | None) -> object:  # noqa: ANN401
    try:
        value: object = ray.get(reference, timeout=seconds)
    except ray.exceptions.RayError as error:
        raise LostAssetError(f"{type(error).__name__}: {error}") from error
    return value

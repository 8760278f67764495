"""A training by several processes: Ray Train starts them, this one hears them; it holds no CPU."""

from __future__ import annotations

import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from campaign.engines.executors.fits import FitOutcome, FitWork, outcome_of
from campaign.records import Failure

RESTARTS = 2
"""How often all processes are started again where one of them was lost."""
ASK_EVERY = 1.0
"""Seconds between two questions of the leader whether it shall stop."""


@dataclass(frozen=True)
class Processes:
    """The processes of a training.

    Args:
        workers: How many.
        cpus: Of each.
        gpus: Of each; gradients are averaged by NCCL where there are any, else by Gloo.
    """

    workers: int
    cpus: int
    gpus: float


class TeamActor:
    """One training by several processes, which can be stopped.

    Args:
        work: The training.
        processes: Who trains.
        myself: Gives a handle of this actor, for the processes to call.
    """

    def __init__(self, work: FitWork, processes: Processes, myself: Callable[[], Any]) -> None:
        self._work, self._processes, self._myself = work, processes, myself
        self._news: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._outcome: FitOutcome | None = None

    def run(self) -> Iterator[object]:
        """The metrics of each epoch as it ends, and the `FitOutcome` last."""
        handle = self._myself()
        threading.Thread(target=self._train, args=(handle,), name="training", daemon=True).start()
        while True:
            item = self._news.get()
            yield item
            if isinstance(item, FitOutcome):
                return

    def tell(self, news: object) -> None:
        """Something that one of the processes has to say.

        An outcome waits until Ray Train has ended in good order: who hears it ends this process,
        and with it what would give back the CPUs and GPUs that are reserved. A stop does not wait.
        """
        if not isinstance(news, FitOutcome) or news == FitOutcome():
            self._news.put(news)
        elif self._outcome is None:
            self._outcome = news

    def stop(self) -> None:
        """End after the current epoch, or in it where that takes long."""
        self._stopping.set()

    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def is_over(self) -> bool:
        """Whether the outcome is known."""
        return self._outcome is not None

    def _train(self, handle: Any) -> None:  # noqa: ANN401
        storage = tempfile.mkdtemp(prefix="training-")
        found = Failure("crashed", "RuntimeError", "its processes ended without an outcome")
        try:
            _trainer(self._work, self._processes, handle, storage).fit()
        except Exception as error:
            first = (str(error).splitlines() or [""])[0]
            found = Failure("crashed", type(error).__name__, first)
        shutil.rmtree(storage, ignore_errors=True)
        self._news.put(self._outcome or FitOutcome(failure=found))


def _trainer(work: FitWork, processes: Processes, handle: Any, storage: str) -> Any:  # noqa: ANN401
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    share = {"CPU": processes.cpus} | ({"GPU": processes.gpus} if processes.gpus else {})
    return TorchTrainer(
        _member,
        train_loop_config={"work": work, "handle": handle},
        torch_config=TorchConfig(backend="nccl" if processes.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=processes.workers,
            use_gpu=processes.gpus > 0,
            resources_per_worker=share,
        ),
        run_config=RunConfig(
            storage_path=storage,
            failure_config=FailureConfig(max_failures=RESTARTS),
        ),
    )


def _member(held: Mapping[str, Any]) -> None:
    """One of the processes.

    Where one raises, Ray Train ends all and starts all anew. So it is where another one is lost,
    and after a failure, of which the others would not hear; then nothing is left to do for any.
    """
    from ray.train import get_context
    from ray.train.torch import get_device

    context, handle = get_context(), held["handle"]
    rank, size = context.get_world_rank(), context.get_world_size()
    if _now(handle.is_over):
        return
    part = held["work"].member(rank, size, str(get_device()))
    asked = _Asked(lambda: rank == 0 and bool(_now(handle.is_stopping)))

    def tell(news: object) -> None:
        if rank == 0:
            _now(handle.tell, news)

    outcome = outcome_of(part, tell, asked.stopping)
    if outcome.failure is None:
        tell(outcome)
        return
    if not _is_loss(outcome.failure):
        _now(handle.tell, outcome)
    raise RuntimeError(f"{outcome.failure.error_type}: {outcome.failure.error}")


def _is_loss(failure: Failure) -> bool:
    """Whether it is that another process is gone, as NCCL and Gloo say it."""
    return failure.error_type.startswith("Dist") or "gloo" in failure.error


class _Asked:
    """Asks at most so often, and keeps a yes."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask, self._last, self._told = ask, 0.0, False

    def stopping(self) -> bool:
        now = time.monotonic()
        if not self._told and now - self._last >= ASK_EVERY:
            self._last, self._told = now, self._ask()
        return self._told


def _now(method: Any, *given: object) -> object:  # noqa: ANN401
    """What a call of another process gives."""
    import ray

    found: object = ray.get(method.options(concurrency_group="control").remote(*given))
    return found

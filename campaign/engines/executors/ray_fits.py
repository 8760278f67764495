"""Trainings as Ray actors, and what calls of actors give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from campaign.engines.executors import cluster
from campaign.engines.executors.actor import FitActor
from campaign.engines.executors.causes import died, is_unserializable, raised
from campaign.engines.executors.fits import Fit
from campaign.engines.executors.team_actor import Processes, TeamActor
from campaign.lazy import LazyModule

if TYPE_CHECKING:
    import ray
else:
    ray = LazyModule("ray")  # it reads settings from the environment when it is imported


class Process:
    """A handle of a process; each call returns at once.

    Args:
        actor: The handle that Ray gave.
    """

    def __init__(self, actor: Any) -> None:  # noqa: ANN401
        self._actor = actor

    def stop(self) -> None:
        """End after the current trial, or the current epoch or in it where that takes long."""
        self._actor.stop.options(concurrency_group="control").remote()

    def kill(self) -> None:
        """End the process, whatever it does, and those that it started."""
        ray.kill(self._actor)


class RayFit(Process):
    """One training."""

    def run(self) -> Any:  # noqa: ANN401
        """Begin; the stream of its news, see `next_news`."""
        return self._actor.run.options(num_returns="streaming").remote()

    def next_news(self, stream: Any) -> object:  # noqa: ANN401
        """What a ready stream holds next: metrics, the outcome, an error, or None at its end."""
        news: object = following(stream)
        return news


def begun(fit: Fit, gpus: float, *, local: bool) -> RayFit:
    """A training that begins as soon as nodes have room.

    Args:
        fit: The training.
        gpus: Of each of its workers.
        local: The cluster was started by this process, and its workers have our environment.
    """
    if fit.workers == 1:
        variables = {} if local else cluster.worker_environment(cpus=fit.cpus, gpus=gpus)
        options = cluster.actor_options(fit.cpus, gpus, variables)
        alone = ray.remote(**cluster.ACTOR)(FitActor).options(**options)
        return RayFit(alone.remote(fit.work))
    processes = Processes(fit.workers, fit.cpus, gpus)
    team = ray.remote(**cluster.ACTOR)(TeamActor).options(**cluster.actor_options(0, 0, {}))
    return RayFit(team.remote(fit.work, processes, _myself))


def following(stream: Any) -> Any:  # noqa: ANN401
    """What a ready stream holds next, None at its end."""
    found = next(stream, None)
    return None if found is None else got(found)


def got(reference: Any) -> Any:  # noqa: ANN401
    """The value of a reference, or how it came to have none."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        alive = isinstance(error, ray.exceptions.RayTaskError) or is_unserializable(error)
        return raised(error) if alive else died(error)


def _myself() -> Any:  # noqa: ANN401
    return ray.get_runtime_context().current_actor

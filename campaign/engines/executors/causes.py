"""What went wrong on a worker, in a line; reads errors of Ray without importing it."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.engines.executors.base import Failure

OUT_OF_MEMORY = ("OutOfMemoryError", "running low on memory", "due to memory pressure")


@dataclass(frozen=True)
class Raised:
    """A call on a worker raised; the worker lives."""

    kind: str
    text: str


@dataclass(frozen=True)
class Died:
    """A worker process or its node is gone, or hangs."""

    kind: str
    text: str
    preempted: bool = False
    """The node was taken away: no trial is to blame."""
    memory: bool = False
    """It was killed because memory ran out."""

    def blame(self, attempt: int) -> Failure:
        """Why a trial is given up that was alone on such a worker."""
        status = "oom" if self.memory else "crashed"
        times = "once" if attempt == 1 else f"{attempt} times"
        message = f"worker died {times}, at last with this trial alone: {self.text}"
        return Failure(status, self.kind, message, attempt)


def raised(error: BaseException) -> Raised:
    """What a call raised: class and first line of the original exception.

    Example:
        >>> raised(ValueError("dtype is unknown"))
        Raised(kind='ValueError', text='dtype is unknown')
    """
    cause = getattr(error, "cause", None)
    origin = cause if isinstance(cause, BaseException) else error
    kind, lines = type(origin).__name__, _lines(origin)
    if is_unserializable(origin):  # only the end of the traceback names the original
        kind, _, text = (lines or ["RuntimeError"])[-1].partition(": ")
        return Raised(kind.rpartition(".")[2], text)
    return Raised(kind, lines[0] if lines else "")


def is_unserializable(error: BaseException) -> bool:
    """Whether it stands for an exception that could not travel; not every Ray has the class."""
    return type(error).__name__ == "UnserializableException"


def died(error: BaseException) -> Died:
    """What the loss of an actor says of itself."""
    kind, lines = type(error).__name__, _lines(error)
    telling = [line for line in lines if "Worker exit detail:" in line] or lines[:1]
    detail = "".join(telling).rpartition("Worker exit detail:")[2].strip()
    return Died(
        kind,
        detail.partition(" Some common causes")[0],
        preempted=bool(getattr(error, "preempted", False)),
        memory=any(sign in f"{kind}: {error}" for sign in OUT_OF_MEMORY),
    )


def _lines(error: BaseException) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()]

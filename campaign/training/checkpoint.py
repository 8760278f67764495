"""Files of a training: its last finished epoch while it runs, and what it gave."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from campaign.errors import SetupError
from campaign.lazy import torch
from campaign.methods import State
from campaign.sources.cache import write_atomically
from campaign.training.job import EpochMetrics, FitJob, FittedResult, Status, Trained

if TYPE_CHECKING:
    from torch import Tensor

ADVICE = "delete it and train again"


class Running(NamedTuple):
    """A training after a finished epoch."""

    network: dict[str, Tensor]
    """State dict of the prepared network."""
    best: dict[str, Tensor] | None
    """The same after the best epoch; None where every epoch counts as better than those before."""
    optimizer: dict[str, Any]
    memory: dict[str, float]
    """What methods keep."""
    metrics: tuple[EpochMetrics, ...]
    """Of all finished epochs."""


def result_path(folder: Path, job: FitJob) -> Path:
    """Where the trained network is, or will be."""
    return folder / f"{job.name}.safetensors"


def running_path(folder: Path, job: FitJob) -> Path:
    """Where the last finished epoch is while a training runs; gone once it has ended."""
    return folder / f"{job.name}.running"


def save_running(folder: Path, job: FitJob, running: Running) -> None:
    """Put an epoch on disk, whole or not at all.

    Raises:
        SetupError: If the folder cannot be written.
    """
    out = io.BytesIO()
    metrics = [_plain(each) for each in running.metrics]
    torch.save({"digest": job.digest, **running._asdict(), "metrics": metrics}, out)
    _write(running_path(folder, job), out.getvalue())


def load_running(folder: Path, job: FitJob) -> Running | None:
    """The last finished epoch, None where there is none.

    Raises:
        SetupError: If it is damaged or of another training.
    """
    path = running_path(folder, job)
    if not path.exists():
        return None
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
        digest, metrics = held.pop("digest"), _metrics(held.pop("metrics"))
        running = Running(metrics=metrics, **held)
    except Exception as error:
        raise SetupError(f"{path}: no epoch of a training ({_short(error)}); {ADVICE}") from error
    _refuse_other(path, digest, job)
    return running


def save(folder: Path, job: FitJob, network: State, trained: Trained) -> Path:
    """Put the result on disk, whole or not at all, and take the running epoch away.

    A result that is there already stays: another driver trained the same beside this one, perhaps
    to other bits, and its trials have begun.

    Args:
        folder: Where.
        job: What was trained.
        network: The state dict to store, in the names of the network.
        trained: The rest of the result; its state is not looked at.

    Raises:
        SetupError: If the folder cannot be written.
    """
    from safetensors.torch import save as serialised

    tensors = {f"state/{name}": value for name, value in network.items()}
    for place, learnt in enumerate(trained.learnt):
        tensors |= {f"learnt/{place}/{name}": value for name, value in learnt.items()}
    told = {
        "digest": job.digest,
        "epochs": str(trained.epochs),
        "status": trained.status,
        "methods": str(len(trained.learnt)),
        "metrics": json.dumps([_plain(each) for each in trained.metrics]),
        "warnings": json.dumps(trained.warnings),
    }
    path = result_path(folder, job)
    if not path.exists():
        plain = {n: v.detach().cpu().contiguous().clone() for n, v in tensors.items()}
        _write(path, serialised(plain, told))
    running_path(folder, job).unlink(missing_ok=True)
    return path


def load(folder: Path, job: FitJob) -> Trained:
    """Read what `fit` gave.

    Raises:
        SetupError: If there is none, it is damaged, or its digest is not that of `job`.
    """
    from safetensors import safe_open

    path = result_path(folder, job)
    if not path.exists():
        raise SetupError(f"{path}: no such file; train it first")
    try:
        with safe_open(path, "pt") as file:
            told: Mapping[str, str] = file.metadata() or {}
            held = {name: file.get_tensor(name) for name in file.keys()}
        trained = _trained(told, held)
    except Exception as error:
        raise SetupError(f"{path}: no trained network ({_short(error)}); {ADVICE}") from error
    _refuse_other(path, told["digest"], job)
    return trained


def told_result(folder: Path, job: FitJob) -> FittedResult:
    """What became of a training that has ended; raises as `load` does."""
    trained = load(folder, job)
    path = result_path(folder, job)
    return FittedResult(path, trained.epochs, trained.metrics, trained.status, trained.warnings)


def _trained(told: Mapping[str, str], held: Mapping[str, Tensor]) -> Trained:
    learnt: list[dict[str, Tensor]] = [{} for _ in range(int(told["methods"]))]
    state = {}
    for key, value in held.items():
        part, _, name = key.partition("/")
        if part == "state":
            state[name] = value.numpy()
        else:
            place, _, name = name.partition("/")
            learnt[int(place)][name] = value
    status: Status = told["status"]  # type: ignore[assignment]
    metrics = _metrics(json.loads(told["metrics"]))
    warnings = tuple(json.loads(told["warnings"]))
    return Trained(state, tuple(learnt), int(told["epochs"]), status, metrics, warnings)


def _plain(metrics: EpochMetrics) -> dict[str, Any]:
    return {**metrics._asdict(), "extra": dict(metrics.extra)}


def _metrics(held: Sequence[Mapping[str, Any]]) -> tuple[EpochMetrics, ...]:
    return tuple(EpochMetrics(**each) for each in held)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition('. ')[0][:120]}"


def _refuse_other(path: Path, digest: str, job: FitJob) -> None:
    if digest != job.digest:
        raise SetupError(
            f"{path}: of the training {digest[:12]}..., {job.digest[:12]}... is asked for; {ADVICE}"
        )


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, [content])
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}; check the folder of checkpoints") from None

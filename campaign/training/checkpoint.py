"""Files of a training: its last finished epoch while it runs, and what it gave."""

from __future__ import annotations

from pathlib import Path

from campaign.training.job import FitJob, Trained


def result_path(folder: Path, job: FitJob) -> Path:
    """Where the trained network is, or will be."""
    return folder / f"{job.name}.safetensors"


def running_path(folder: Path, job: FitJob) -> Path:
    """Where the last finished epoch is while a training runs; gone once it has ended."""
    return folder / f"{job.name}.running"


def load(folder: Path, job: FitJob) -> Trained:
    """Read what `fit` gave.

    Raises:
        SetupError: If there is none, it is damaged, or its digest is not that of `job`.
    """
    raise NotImplementedError

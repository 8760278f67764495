"""How far the trainings of a results folder are: a small file that others may read meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from campaign.runner.folder import ResultsFolder, write_atomic

State = Literal["waiting", "begun", "trained", "diverged", "failed"]


@dataclass(frozen=True)
class TrainingStatus:
    """How far one training is.

    Args:
        label: What messages call it.
        state: ``begun`` runs or was interrupted; ``failed`` raised or killed its process.
        epoch: The newest finished epoch, 0 before the first.
        epochs: How many its recipe has.
        loss: Mean loss of that epoch.
        validation_accuracy: After that epoch, None where no images are held out.
        error: Why it failed or diverged.
    """

    label: str
    state: State
    epoch: int
    epochs: int
    loss: float | None = None
    validation_accuracy: float | None = None
    error: str = ""


class TrainingLog:
    """Keeps ``trainings.json``; only the driver that holds the folder writes it.

    Args:
        folder: The results.
    """

    def __init__(self, folder: ResultsFolder) -> None:
        self.folder, self.path = folder, log_path(folder.path)
        self._held: dict[str, TrainingStatus] = dict(read_log(folder.path))

    def put(self, digest: str, status: TrainingStatus) -> None:
        """Say how a training is, by its digest.

        Raises:
            SetupError: If the file cannot be written.
        """
        if self._held.get(digest) != status:
            self._held[digest] = status
            plain = {key: asdict(held) for key, held in self._held.items()}
            write_atomic(self.path, json.dumps(plain, indent=1))


def log_path(folder: Path) -> Path:
    """Where the file is."""
    return folder / "trainings.json"


def read_log(folder: Path) -> Mapping[str, TrainingStatus]:
    """The trainings of a results folder by digest; none where nothing was trained.

    Raises:
        SetupError: If the file is damaged.
    """
    held = ResultsFolder(folder).read_json(log_path(folder)) or {}
    return {digest: TrainingStatus(**status) for digest, status in held.items()}

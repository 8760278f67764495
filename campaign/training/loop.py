"""The training loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from campaign.training.job import EpochMetrics, FitJob, FittedResult, Materials

Report = Callable[[EpochMetrics], None]


def fit(
    job: FitJob,
    folder: Path,
    *,
    device: str = "cpu",
    threads: int = 1,
    report: Report | None = None,
    materials: Materials | None = None,
) -> FittedResult:
    """Train, or go on where an earlier call was killed; nothing is done where the result is there.

    The result is the same to the bit whether it was killed or not, for one device and number of
    threads on the CPU.

    Args:
        job: What to train.
        folder: Where the files of trainings are, see `campaign.training.checkpoint`.
        device: A torch device.
        threads: Of torch, on the CPU.
        report: Called after each epoch, when it is safe on disk; what it raises ends the training,
            which a later call takes up again.
        materials: What the sources of the job would give; None reads them.

    Raises:
        ValueError: If the network, the data and the methods do not fit each other.
        SetupError: If a file is missing, is damaged or belongs to another training.
    """
    raise NotImplementedError

"""MLflow rebuilt from the rows of a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from campaign.errors import SetupError
from campaign.runner.choose import mlflow_tracker
from campaign.runner.folder import ResultsFolder
from campaign.runner.history import status_of
from campaign.runner.precision import precision_of
from campaign.runner.report import told_curves
from campaign.runner.trials import trials_in
from campaign.spec.campaign import CampaignSpec

if TYPE_CHECKING:
    from campaign.engines.trackers.base import Ending


def sync_folder(folder: Path) -> tuple[str, int]:
    """Make MLflow say what the rows say; twice is as once.

    Returns:
        The tracking URI, without passwords, and how many curves there are.

    Raises:
        SetupError: If there are no rows, or MLflow cannot be reached.
    """
    held = ResultsFolder(folder)
    resolved = held.read_json(held.resolved)
    if resolved is None:
        raise SetupError(f"{folder}: no spec.resolved.json there; is it a results folder?")
    spec = CampaignSpec.model_validate(resolved)
    trials = trials_in(folder)
    tracker = mlflow_tracker(spec, held, resolved, ended=float(trials["finished_at"].max()))
    found = tracker.sync(told_curves(trials, precision_of(spec)), _ending(folder), held.artifacts())
    return tracker.uri, found


def _ending(folder: Path) -> Ending:
    status = status_of(folder)
    if status.running:
        return "RUNNING"
    if status.failed:
        return "FAILED"
    return "FINISHED" if status.ok == status.total else "KILLED"

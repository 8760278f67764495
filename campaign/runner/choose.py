"""From the spec's words to an executor, a tracker and a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaign.engines.executors.base import Executor
from campaign.engines.trackers.null import NullTracker
from campaign.runner.folder import ResultsFolder
from campaign.runner.place import Place, place_of
from campaign.runner.provenance import code_version
from campaign.spec.campaign import CampaignSpec
from campaign.spec.expand import expand
from campaign.text import redacted_values

if TYPE_CHECKING:
    from campaign.engines.trackers.base import Input, Tracker
    from campaign.engines.trackers.mlflow import MlflowTracker
    from campaign.engines.trackers.place import TrackingStore
    from campaign.runner.result import RunOptions


def results_place(spec: CampaignSpec, chosen: Path | str | None) -> Place:
    """Where results go: what the command line says, else the spec, else results/<name>."""
    return place_of(chosen or spec.output.results or Path("results") / spec.name)


def make_executor(spec: CampaignSpec, options: RunOptions) -> Executor:
    """The executor that the command line or the spec names, not yet started."""
    engine = spec.engine
    if (options.executor or engine.executor) == "inline":
        from campaign.engines.executors.inline import InlineExecutor

        return InlineExecutor()
    from campaign.engines.executors.ray import RayExecutor

    return RayExecutor(
        address=options.address or engine.address,
        workers=options.workers or engine.workers,
        cpus_per_worker=engine.cpus_per_worker,
        gpus_per_worker=engine.gpus_per_worker,
        batch_seconds=engine.batch_seconds,
        max_attempts=engine.max_attempts,
        patience_seconds=engine.patience_seconds,
        grace_seconds=engine.grace_seconds,
    )


def make_tracker(
    spec: CampaignSpec, folder: ResultsFolder, resolved: Mapping[str, object]
) -> Tracker:
    """MLflow, not yet connected, or nobody where the spec wants none.

    Raises:
        SetupError: If the tracking URI is one that MLflow no longer writes to.
    """
    if not spec.output.mlflow:
        return NullTracker()
    return mlflow_tracker(spec, folder, resolved)


def mlflow_tracker(
    spec: CampaignSpec,
    folder: ResultsFolder,
    resolved: Mapping[str, object],
    *,
    ended: float | None = None,
) -> MlflowTracker:
    """MLflow, not yet connected; `ended` is when the last trial did (default: now).

    Raises:
        SetupError: If the tracking URI is one that MLflow no longer writes to.
    """
    from campaign.engines.trackers.base import CampaignInfo
    from campaign.engines.trackers.mlflow import MlflowTracker

    held = folder.read_json(folder.provenance) or {"sessions": [{}]}
    info = CampaignInfo(
        name=spec.name,
        campaign_id=folder.campaign_id(),
        folder=folder.path,
        bers=sorted({cell.ber for grid in expand(spec) for cell in grid.cells}),
        spec=redacted_values(resolved),
        spec_sha=str(held["sessions"][-1].get("spec_sha256", "")),
        code_version=code_version(),
        description=spec.description,
        started=held["sessions"][0].get("started_at"),
        ended=ended,
        attachments=(folder.spec_copy, folder.resolved),
        inputs=_inputs_of(held["sessions"][-1].get("digests") or {}, spec),
    )
    return MlflowTracker(info, store_of(spec, folder.path))


def _inputs_of(digests: Mapping[str, Any], spec: CampaignSpec) -> list[Input]:
    """The data and checkpoints of a session, as its provenance has them."""
    from campaign.engines.trackers.base import Input

    grids = expand(spec)
    dataset = grids[0].setup.dataset_name if grids else ""
    found = [Input("checkpoint", name, text) for name, text in digests.get("models", {}).items()]
    known = dataset and digests.get("dataset")
    return [Input("dataset", dataset, digests["dataset"]), *found] if known else found


def store_of(spec: CampaignSpec, folder: Path) -> TrackingStore:
    """Where MLflow keeps the runs of a campaign."""
    from campaign.engines.trackers.place import tracking_store

    return tracking_store(folder.absolute().parent, spec.output.tracking_uri)

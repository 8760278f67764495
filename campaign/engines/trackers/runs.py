"""The runs of one campaign in MLflow: a parent, and one child for each curve."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.engines.trackers.base import CampaignInfo, Input
from campaign.engines.trackers.client import connect
from campaign.engines.trackers.pending import trials
from campaign.engines.trackers.place import TrackingStore
from campaign.engines.trackers.points import CurveRun, Key, Values, digest, flatten
from campaign.errors import SetupError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, Run, RunTag

CAMPAIGN_TAG = "campaign.id"
CURVE_TAG = "campaign.curve_id"
STATE_TAG = "campaign.state"
PARENT_TAG = "mlflow.parentRunId"
CHANGED_TAG = "campaign.now."
"""Before the name of a parameter of the spec that has changed; MLflow's parameters are final."""
METRICS_PER_BATCH = 900
RUNS_PER_PAGE = 1000
TAG_CHARACTERS = 5000
DIGEST_CHARACTERS = 36
"""What MLflow keeps of a dataset's digest; the whole one stands in a tag and in its source."""


@dataclass
class KnownRun:
    """What is known of a run in MLflow.

    Args:
        run_id: MLflow's id.
        parent: Id of its parent, empty for the parent.
        started: Start of the run in milliseconds since the epoch.
        status: RUNNING, FINISHED, FAILED or KILLED.
        params: Its parameters.
        state: Fingerprint of the values told, None where the run says nothing.
        metrics: Names of its metrics.
        told: Newest value of each metric and step, None until read.
        stamps: Timestamp of these, in milliseconds.
    """

    run_id: str
    parent: str
    started: int
    status: str
    params: Mapping[str, str] = field(default_factory=dict)
    state: str | None = None
    metrics: Sequence[str] = ()
    told: Values | None = None
    stamps: dict[Key, int] = field(default_factory=dict)


class CampaignRuns:
    """Finds, makes and writes the runs of one campaign.

    What is there is read once, when this is made. After an error nothing known here is certain:
    make another.

    Args:
        info: The campaign.
        store: Where MLflow keeps it.
    """

    def __init__(self, info: CampaignInfo, store: TrackingStore) -> None:
        self.info = info
        self.client = connect(store.uri)
        self.experiment_id = _experiment(self.client, info.name, store)
        self.curves: dict[str, KnownRun] = {}
        self.parent = self._open_parent(self._find())
        self._log_inputs()
        for path in info.attachments:
            self.attach(path)

    def curve(self, curve_id: str, curve: CurveRun) -> KnownRun:
        """The run of a curve, made if there is none."""
        known = self.curves.get(curve_id)
        if known is None:
            tags = {CURVE_TAG: curve_id, PARENT_TAG: self.parent.run_id}
            known = self.curves[curve_id] = self._create(curve.name, tags)
        elif known.parent != self.parent.run_id:
            self.client.set_tag(known.run_id, PARENT_TAG, self.parent.run_id)
            known.parent = self.parent.run_id
        return known

    def drop(self, curve_id: str) -> None:
        """Delete the run of a curve (MLflow keeps it in its bin)."""
        self.client.delete_run(self.curves.pop(curve_id).run_id)

    def told(self, known: KnownRun) -> Values:
        """The newest value of each metric and step."""
        if known.told is None:
            known.told = {}
            for metric in known.metrics:
                for point in self.client.get_metric_history(known.run_id, metric):
                    key = (metric, point.step)
                    if point.timestamp >= known.stamps.get(key, 0):
                        known.told[key], known.stamps[key] = point.value, point.timestamp
        return known.told

    def write(self, known: KnownRun, values: Values, params: Mapping[str, str]) -> None:
        """Log values beside or over what was told, in one batch unless there are very many.

        Timestamps follow from the number of trials, not from the clock, so that writing the same
        values again stores them once.
        """
        from mlflow.entities import Metric, Param, RunTag

        now = {**self.told(known), **values}
        stamp = self.parent.started + trials(now)
        stamps = {key: max(stamp, known.stamps.get(key, -1) + 1) for key in values}
        metrics = [Metric(m, value, stamps[m, s], s) for (m, s), value in values.items()]
        missing = [Param(*item) for item in params.items() if item[0] not in known.params]
        self._log(known, metrics, missing, [RunTag(STATE_TAG, digest(now))])
        known.told, known.params, known.state = now, {**known.params, **params}, digest(now)
        known.stamps |= stamps

    def set_status(self, known: KnownRun, status: str) -> None:
        """Say how a run stands; one that has ended and goes on keeps its start."""
        if known.status == status:
            return
        if status == "RUNNING":
            self.client.update_run(known.run_id, status)
        else:
            ended = None if self.info.ended is None else int(self.info.ended * 1000)
            self.client.set_terminated(known.run_id, status, ended)
        known.status = status

    def attach(self, path: Path) -> None:
        """Attach a file or folder, if it exists, to the parent in its place in the results."""
        folder, path = self.info.folder.resolve(), path.resolve()
        inside = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
        if not path.exists():
            return
        if path.is_dir():
            self.client.log_artifacts(self.parent.run_id, str(path), str(inside))
        else:
            place = None if inside.parent == Path() else str(inside.parent)
            self.client.log_artifact(self.parent.run_id, str(path), place)

    def _log(
        self, known: KnownRun, metrics: list[Metric], params: list[Param], tags: list[RunTag]
    ) -> None:
        # A batch is written in the order parameters, metrics, tags, and the tag says that the
        # metrics are there: where they fill several batches, it comes after the last.
        fits = len(metrics) <= METRICS_PER_BATCH
        self.client.log_batch(known.run_id, metrics, params, tags if fits else (), synchronous=True)
        if not fits:
            self.client.log_batch(known.run_id, tags=tags, synchronous=True)

    def _log_inputs(self) -> None:
        """List what the campaign reads with the parent; MLflow keeps what is equal once."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        listed = [
            DatasetInput(
                Dataset(held.name, held.digest[:DIGEST_CHARACTERS], held.kind, source_of(held)),
                [InputTag("mlflow.data.context", held.kind)],
            )
            for held in self.info.inputs
        ]
        if listed:
            self.client.log_inputs(self.parent.run_id, listed)

    def _find(self) -> KnownRun | None:
        """Learn every run of the campaign; where two stand for one thing, one of them stays."""
        parent: KnownRun | None = None
        for run in sorted(self._search(), key=_precedence):
            curve_id, known = run.data.tags.get(CURVE_TAG), _known(run)
            if curve_id is None and parent is None:
                parent = known
            elif curve_id is not None and curve_id not in self.curves:
                self.curves[curve_id] = known
            else:
                self.client.delete_run(known.run_id)
        return parent

    def _search(self) -> Iterator[Run]:
        wanted, token = f"tags.`{CAMPAIGN_TAG}` = '{self.info.campaign_id}'", None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], wanted, max_results=RUNS_PER_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _create(self, name: str, tags: Mapping[str, str]) -> KnownRun:
        started = self.info.started if self.info.started is not None else time.time()
        first = self.parent.started if PARENT_TAG in tags else int(started * 1000)
        every = {
            CAMPAIGN_TAG: self.info.campaign_id,
            "mlflow.source.name": "campaign",
            "mlflow.source.type": "JOB",
        }
        run = self.client.create_run(self.experiment_id, first, {**every, **tags}, name)
        return _known(run)

    def _open_parent(self, known: KnownRun | None) -> KnownRun:
        from mlflow.entities import Param, RunTag

        parent = self._create(self.info.name, {}) if known is None else known
        spec = flatten(self.info.spec)
        missing = {key: text for key, text in spec.items() if key not in parent.params}
        changed = {key: text for key, text in spec.items() if parent.params.get(key, text) != text}
        tags = {
            "campaign.dir": str(self.info.folder),
            "campaign.spec_sha": self.info.spec_sha,
            "campaign.code_version": self.info.code_version,
            "mlflow.note.content": self.info.description,
            **{f"campaign.{held.kind}.{held.name}": held.digest for held in self.info.inputs},
            **{f"{CHANGED_TAG}{key}": text for key, text in changed.items()},
        }
        entries = [RunTag(key, text[:TAG_CHARACTERS]) for key, text in tags.items() if text]
        self._log(parent, [], [Param(*item) for item in missing.items()], entries)
        parent.params = {**missing, **parent.params}
        return parent


def source_of(held: Input) -> str:
    """What an input is, as JSON."""
    return json.dumps({"name": held.name, "sha256": held.digest})


def _precedence(run: Run) -> tuple[bool, int, str]:
    """Runs that say something come first, then the oldest."""
    return STATE_TAG not in run.data.tags, run.info.start_time, run.info.run_id


def _known(run: Run) -> KnownRun:
    tags = run.data.tags
    return KnownRun(
        run.info.run_id,
        tags.get(PARENT_TAG, ""),
        run.info.start_time,
        run.info.status,
        run.data.params,
        tags.get(STATE_TAG),
        tuple(run.data.metrics),
    )


def _experiment(client: MlflowClient, name: str, store: TrackingStore) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=store.artifacts))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another campaign of this name was first
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise SetupError(
            f"MLflow experiment {name!r} is deleted; restore it with "
            f"'mlflow experiments restore --experiment-id {found.experiment_id}' or rename the "
            "campaign"
        )
    return str(found.experiment_id)

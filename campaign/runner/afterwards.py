"""What follows the trials: tables and figures, and the tracker's last word."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaign.errors import CampaignError
from campaign.runner.folder import ResultsFolder, write_atomic
from campaign.runner.precision import precision_of
from campaign.runner.report import make_report, told_curves
from campaign.runner.result import Listener, RunResult
from campaign.runner.trials import trials_of
from campaign.spec.campaign import CampaignSpec

if TYPE_CHECKING:
    from campaign.engines.stores.parquet import ParquetStore
    from campaign.engines.trackers.background import BackgroundTracker
    from campaign.engines.trackers.base import Ending


class Afterwards:
    """Does what the rows still lack; ``after.json`` remembers for which rows it was done.

    So a run that was killed before its report, or whose tracker was down, is made good by the
    next one, and a run that changed nothing does nothing.

    Args:
        spec: The campaign.
        folder: Its results.
        store: Its rows.
        listener: Told what goes wrong; nothing here costs a trial.
    """

    def __init__(
        self, spec: CampaignSpec, folder: ResultsFolder, store: ParquetStore, listener: Listener
    ) -> None:
        self.spec, self.folder, self.store, self.listener = spec, folder, store, listener
        self._path = folder.path / "after.json"
        self._held: dict[str, Any] = folder.read_json(self._path) or {}
        chosen = spec.precision
        self._precision = [] if chosen is None else [chosen.model_dump()]
        self._rows = _digest(store.done())

    def report(self) -> list[Path]:
        """Tables and figures of all rows, made anew where the rows have changed."""
        output = self.spec.output
        metrics = list(self.spec.evaluation.metrics)
        wanted = [self._rows, metrics, output.interval, *self._precision]
        files = [self.folder.path / name for name in self._held.get("files", [])]
        if self._held.get("report") == wanted and all(path.is_file() for path in files):
            return files
        self.listener.note("making tables and figures")
        try:
            made = make_report(self.folder.path, self.spec.evaluation.metrics, output.interval)
        except (CampaignError, OSError) as error:
            path = self.folder.path
            self.listener.note(f"no report: {error}; rows are safe, later: campaign report {path}")
            return []
        self._keep(report=wanted, files=[str(p.relative_to(self.folder.path)) for p in made])
        return made

    def tell(self, tracker: BackgroundTracker, result: RunResult, *, patience: float) -> None:
        """The last word to the tracker, where it does not know these rows yet."""
        written = [str(path) for path in result.written]
        wanted = [self._rows, tracker.uri, result.exit_code, written, *self._precision]
        if not tracker.uri or not self.store.done() or self._held.get("told") == wanted:
            return
        try:
            tracker.log(told_curves(trials_of(self.store), precision_of(self.spec)))
        except CampaignError as error:
            self.listener.note(f"MLflow: not told: {error}")
            return
        tracker.finish(ending_of(result.exit_code), self.folder.artifacts(), timeout=patience)
        if tracker.trouble is None:
            self._keep(told=wanted)
            return
        path = self.folder.path
        self.listener.note(
            f"MLflow: {tracker.trouble}; rows are safe, later: campaign sync-mlflow {path}"
        )

    def _keep(self, **known: object) -> None:
        self._held.update(known)
        try:
            write_atomic(self._path, json.dumps(self._held, indent=1))
        except CampaignError as error:
            self.listener.note(f"warning: {error}")


def _digest(done: Mapping[str, str]) -> str:
    """sha256, hex, of the trials and their statuses, in the order of their ids."""
    digest, between = hashlib.sha256(), ""
    for key in sorted(done):
        digest.update(f"{between}{key} {done[key]}".encode())
        between = "\n"
    return digest.hexdigest()


def ending_of(exit_code: int) -> Ending:
    """How a run that ends with `exit_code` stands, in MLflow's words."""
    if exit_code == 0:
        return "FINISHED"
    return "FAILED" if exit_code == 3 else "KILLED"

"""One small campaign on the digits that was watched while it ran."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from campaign.dashboard.rows import FolderRows
from campaign.dashboard.view import Filter
from campaign.dashboard.watch import WatchedCampaign
from campaign.engines.stores.reader import read_results
from campaign.records import TrialRecord
from campaign.runner.result import Job, RunOptions
from campaign.runner.run import run_campaign
from campaign.spec.load import load

SPEC = """\
name: watched
description: What is watched.
models: digits_cnn
dataset: digits
grid:
  dtype: [fp32, q2_5]
  method: [none, range_clamp, weight_scaling]
  t: {fp32: [2], q2_5: [1, 2]}
  ber: [1.0e-3, 1.0e-2]
  seeds: 3
  nonfinite: zero
evaluation: {subset: 60}
engine: {executor: inline}
output: {mlflow: false, report: false}
"""
TRIALS = (3 + 4) * (1 + 2 * 3)


@dataclass
class Seen:
    """What a watcher saw each time that rows had become durable."""

    folder: Path
    watched: WatchedCampaign
    rows: FolderRows
    states: list[str] = field(default_factory=list)
    counts: list[tuple[int, int]] = field(default_factory=list)
    """(rows that the dashboard has, rows that the reader of results has)."""
    points: list[int] = field(default_factory=list)
    colours: set[str] = field(default_factory=set)
    """The style sheets that charts had; one, for colours never change."""

    def note(self, text: str) -> None:
        """Nothing to note."""

    def planned(self, total: int, done: int, todo: int, results: Path) -> None:
        """Nothing to note."""

    def progressed(self, records: Sequence[TrialRecord], status: Mapping[str, object]) -> None:
        held, read = self.rows.read().table, read_results(self.folder)
        assert set(held["trial_id"].to_pylist()) == set(read["trial_id"].to_pylist())
        self.counts.append((len(held), len(read)))
        self.look()
        self.states.append(str(self.watched.overview["state"]))
        view = self.watched.view
        self.colours |= set() if view is None else {str(view.chart(Filter())["css"])}
        self.points.append(0 if view is None else sum(len(c.points) for c in view.curves))

    def look(self) -> None:
        """Look now, without the rest between two looks."""
        self.watched.ask()
        self.watched._due = 0.0
        self.watched.look()


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    root = tmp_path_factory.mktemp("watched")
    path, folder = root / "spec.yaml", root / "results" / "watched"
    path.write_text(SPEC, "utf-8")
    watcher = Seen(folder, WatchedCampaign(folder, "watched"), FolderRows(folder))
    loaded = load(path, ())
    job = Job(loaded.spec, loaded.text, loaded.resolved())
    result = run_campaign(job, RunOptions(results=folder), watcher)
    assert result.exit_code == 0
    time.sleep(0.01)
    watcher.look()
    return watcher

"""A small campaign on the digits and ways to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from campaign.records import TrialRecord
from campaign.runner.result import Job, RunOptions, RunResult
from campaign.runner.run import run_campaign
from campaign.spec.load import load

SPEC = """\
name: small
models: digits_cnn
dataset: digits
grid:
  dtype: [fp32, q2_5]
  method: [none, range_clamp]
  ber: [1.0e-3, 1.0e-2]
  seeds: 3
evaluation: {subset: 100}
engine: {executor: inline}
output: {mlflow: false, report: false}
"""
TRIALS = 4 * (2 * 3 + 1)


class Ear:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.plans: list[tuple[int, int, int]] = []
        self.records: list[TrialRecord] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def planned(self, total: int, done: int, todo: int, results: Path) -> None:
        self.plans.append((total, done, todo))

    def progressed(self, records: Sequence[TrialRecord], status: Mapping[str, object]) -> None:
        self.records += records


class Campaign:
    """A spec file in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.path, self.results = root, root / "spec.yaml", root / "results" / "small"
        self.path.write_text(SPEC, "utf-8")

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text("utf-8")
        assert old in text
        self.path.write_text(text.replace(old, new), "utf-8")

    def run(self, *settings: str, ear: Ear | None = None, **options: object) -> RunResult:
        loaded = load(self.path, settings)
        job = Job(loaded.spec, loaded.text, loaded.resolved())
        chosen = RunOptions(results=self.results, **options)  # type: ignore[arg-type]
        return run_campaign(job, chosen, ear or Ear())


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    return Campaign(tmp_path)


@pytest.fixture
def ear() -> Ear:
    return Ear()

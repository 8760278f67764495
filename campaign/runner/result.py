"""What a run is given, whom it tells, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from campaign.records import TrialRecord
from campaign.spec.campaign import CampaignSpec


class Listener(Protocol):
    """Who watches a run."""

    def note(self, text: str) -> None:
        """Something happened that is worth a line."""
        ...

    def planned(self, total: int, done: int, todo: int, results: Path) -> None:
        """How much there is to do, before the first trial."""
        ...

    def progressed(self, records: Sequence[TrialRecord], status: Mapping[str, object]) -> None:
        """Records that are now durable, and what the executor says of itself."""
        ...


@dataclass(frozen=True)
class RunOptions:
    """What the command line may set beside the spec.

    Args:
        results: Folder or URL of the results instead of the spec's.
        address: Ray cluster to join instead of the spec's.
        executor: ``ray`` or ``inline`` instead of the spec's.
        workers: How many workers instead of the spec's.
        limit: At most so many trials now.
        keep_failed: Leave failed trials of earlier runs as they are.
        report: Make tables and figures at the end.
        allow_code: Build models from code that is not ours.
    """

    results: Path | str | None = None
    address: str | None = None
    executor: str | None = None
    workers: int | None = None
    limit: int | None = None
    keep_failed: bool = False
    report: bool = True
    allow_code: bool = False


@dataclass
class RunResult:
    """How a run ended.

    Args:
        results: The results folder.
        total: Trials of the spec.
        ran: Trials of this run.
        ok: Trials of the spec with a result.
        failures: Count of failed trials by (status, error type, first line).
        signal: The signal that stopped the run, or None.
        seconds: Wall time.
        capped: A line for each point that took ``precision.max_seeds`` and is less precise.
        written: Files made by the report.
        tracking_uri: Where MLflow's data lies, or None.
    """

    results: Path
    total: int = 0
    ran: int = 0
    ok: int = 0
    failures: dict[tuple[str, str, str], int] = field(default_factory=dict)
    signal: int | None = None
    seconds: float = 0.0
    capped: list[str] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    tracking_uri: str | None = None

    @property
    def exit_code(self) -> int:
        """0 complete, 3 failed trials, 4 stopped early, 128 + signal after a clean drain."""
        if self.signal is not None:
            return 128 + self.signal
        if self.failures:
            return 3
        return 0 if self.ok == self.total else 4


@dataclass
class TrainResult:
    """How trainings ended that were run alone.

    Args:
        results: The results folder.
        checkpoints: The folder or URL of the trained networks.
        total: Trainings of the spec.
        cached: Those that had ended before.
        trained: Those that have ended now.
        failures: Why the others have not, by what they are called.
        signal: The signal that stopped them, or None.
        seconds: Wall time.
    """

    results: Path
    checkpoints: Path | str
    total: int = 0
    cached: int = 0
    trained: int = 0
    failures: Mapping[str, str] = field(default_factory=dict)
    signal: int | None = None
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """As that of `RunResult`, for trainings."""
        if self.signal is not None:
            return 128 + self.signal
        if self.failures:
            return 3
        return 0 if self.cached + self.trained == self.total else 4


@dataclass(frozen=True)
class Job:
    """A spec with the text it came from."""

    spec: CampaignSpec
    text: str
    resolved: Mapping[str, object]

"""What a tracker is told, and what it does with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import pandas as pd

Ending = Literal["FINISHED", "FAILED", "KILLED", "RUNNING"]
"""How a campaign stands, in MLflow's words: all trials done; done with failed trials, or crashed;
stopped, to be resumed; still at work (said by a sync beside a running campaign)."""


class Input(NamedTuple):
    """Something that the campaign reads, as MLflow lists it among the inputs of a run."""

    kind: Literal["dataset", "checkpoint"]
    name: str
    digest: str
    """sha256, hex."""


@dataclass(frozen=True)
class CampaignInfo:
    """The campaign that curves belong to; the same in a run, in its resumption and in a sync.

    Args:
        name: Name of the campaign.
        campaign_id: Tells two results folders of one name apart; letters, digits, ``_ . -``.
        folder: The results folder.
        bers: Every bit error rate of the grid, in any order; fixes the step of each.
        spec: The spec as plain data (mappings, lists, scalars); shown as parameters.
        spec_sha: Digest of the spec.
        code_version: Version of campaign and the git revision.
        description: What the campaign is to show.
        started: Seconds since the epoch; None is the moment of the first log.
        ended: Seconds since the epoch; None is the moment of `Tracker.finish`.
        attachments: Files to attach at the start, those that exist, such as the resolved spec.
        inputs: Datasets and checkpoints that are read.
    """

    name: str
    campaign_id: str
    folder: Path
    bers: Sequence[float] = ()
    spec: Mapping[str, object] = field(default_factory=dict)
    spec_sha: str = ""
    code_version: str = ""
    description: str = ""
    started: float | None = None
    ended: float | None = None
    attachments: Sequence[Path] = ()
    inputs: Sequence[Input] = ()


@dataclass(frozen=True)
class TrainingCurve:
    """How a training goes: its metrics by epoch.

    Args:
        key: What tells it from others, whatever campaign it is part of.
        name: What people call it.
        params: What decides it; empty texts are left out.
        values: Metrics by name and epoch.
    """

    key: str
    name: str
    params: Mapping[str, str]
    values: Mapping[tuple[str, int], float]


class Tracker(Protocol):
    """Told about curves; its failure is a warning, never a lost trial."""

    @property
    def uri(self) -> str:
        """Where it keeps what it is told, without passwords; empty for nowhere."""
        ...

    def log(self, curves: pd.DataFrame) -> None:
        """Bring the tracker near the state of `curves`; repeating it changes nothing.

        Args:
            curves: One row for each curve and bit error rate, as `campaign.analysis.curves`
                makes them.
        """
        ...

    def train(self, curve: TrainingCurve) -> None:
        """Bring the tracker to the epochs of a training; repeating it changes nothing."""
        ...

    def finish(self, ending: Ending, artifacts: Sequence[Path] = ()) -> None:
        """Bring the tracker to the exact state last logged, say how it ended, attach files.

        Args:
            ending: How the campaign stands.
            artifacts: Files and folders, those that exist; inside the results folder they keep
                their place.
        """
        ...

"""The wanted precision of a campaign, as the analysis takes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from campaign.runner.folder import ResultsFolder
from campaign.spec.campaign import CampaignSpec

if TYPE_CHECKING:
    from campaign.analysis.sequential import Precision


def precision_of(spec: CampaignSpec) -> Precision | None:
    """What the spec wants, None where it counts seeds."""
    from campaign.analysis.sequential import Precision

    return None if spec.precision is None else Precision(**spec.precision.model_dump())


def precision_in(folder: Path) -> Precision | None:
    """The same of the last spec of a results folder; None too where that is not understood."""
    held = ResultsFolder(folder)
    raw = held.read_json(held.resolved)
    try:
        return None if raw is None else precision_of(CampaignSpec.model_validate(raw))
    except ValueError:
        return None

"""The row of a trial."""

from __future__ import annotations

import platform
import time
from typing import Any

from campaign.records import COLUMNS, TrialRecord
from campaign.spec.grid import Point, Setup


def record(setup: Setup, point: Point, **measured: Any) -> TrialRecord:  # noqa: ANN401
    """A row from its coordinates and what was measured; what was not is null."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row.update(
        trial_id=point.trial_id,
        setup_id=setup.setup_id,
        campaign=setup.campaign,
        model=setup.model_name,
        dataset=setup.dataset_name,
        dtype=setup.dtype.label,
        method=setup.method,
        t=setup.t,
        train_seed=setup.train_seed,
        nonfinite=setup.nonfinite,
        fault=setup.fault_name,
        targets=setup.targets.label,
        ber=point.ber,
        seed=point.seed,
        host=platform.node(),
        finished_at=time.time(),
    )
    return TrialRecord(**{**row, **measured})

"""One trial of a results folder again: are flips and counts the same?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaign.errors import SetupError, SpecError
from campaign.records import RESULT_COLUMNS
from campaign.runner.assets import digests_of, load_assets
from campaign.runner.checkpoints import checkpoints_of
from campaign.runner.code import check_code
from campaign.runner.folder import ResultsFolder
from campaign.runner.place import origin_of
from campaign.runner.provenance import code_version
from campaign.spec.campaign import CampaignSpec
from campaign.spec.expand import SetupGrid, expand
from campaign.spec.grid import Setup, SetupPoints, held_point
from campaign.spec.identity import identify
from campaign.spec.trained import job_of
from campaign.trial.worker import TrialWork


@dataclass(frozen=True)
class Replay:
    """A trial as it was and as it is now.

    Args:
        held: The row in the results.
        new: The row of the repetition.
        differing: Columns that decide the result and differ.
    """

    held: dict[str, Any]
    new: dict[str, Any]
    differing: tuple[str, ...]


def replay(folder: Path, trial_id: str, *, allow_code: bool = False) -> Replay:
    """Run the trial again in this process.

    Args:
        folder: The results.
        trial_id: The trial, or a beginning of its id.
        allow_code: Build the trial's model from code that is not ours; a folder alone runs none.

    Raises:
        SpecError: If the results have no such trial, or their spec no longer stands for it.
    """
    import pyarrow.compute as pc

    from campaign.engines.stores.reader import read_results

    rows = read_results(folder)
    alike = rows.filter(pc.starts_with(rows["trial_id"], trial_id))
    held = find_row(alike.to_pylist(), trial_id)
    raw = ResultsFolder(folder).read_json(folder / "spec.resolved.json")
    if raw is None:
        raise SpecError(f"{folder}: no spec.resolved.json beside the rows, so nothing to replay")
    spec = CampaignSpec.model_validate(raw)
    grids = [grid for grid in expand(spec) if grid.setup.model_name == held["model"]]
    check_code((grid.setup for grid in grids), allowed=allow_code)
    setup = _setup_of(grids, held, folder)
    point = held_point(setup, held["trial_id"], held["ber"], held["seed"])
    assets = load_assets([SetupPoints(setup, (point,))], lambda text: None)
    assets |= _trained(spec, setup, folder)
    work = TrialWork(
        code_version=code_version(),
        batch_size=spec.evaluation.batch_size,
        mode=spec.engine.mode,
        threads=spec.engine.cpus_per_worker,
        use_gpu=held["device"].startswith("cuda"),
    )
    new = next(work.open(assets.__getitem__).trials(setup, [point], 1)).to_row()
    differing = tuple(name for name in RESULT_COLUMNS if new[name] != held[name])
    return Replay(held, new, differing)


def _trained(spec: CampaignSpec, setup: Setup, folder: Path) -> dict[str, object]:
    """The trained network that the setup needs, if it does, by its key."""
    if setup.training is None:
        return {}
    checkpoints = checkpoints_of(spec, origin_of(folder))
    trained = checkpoints.finished(job_of(setup))
    if trained is None:
        raise SetupError(f"{checkpoints.label}: has no network of {setup.label}; train it first")
    return {setup.training.asset: trained}


def find_row(rows: list[dict[str, Any]], trial_id: str) -> dict[str, Any]:
    """The row of a trial, by its id or by a beginning of it that only one trial has."""
    exact = [row for row in rows if row["trial_id"] == trial_id]
    found = exact or [row for row in rows if row["trial_id"].startswith(trial_id)]
    if len(found) == 1:
        return found[0]
    if found:
        raise SpecError(f"{trial_id}: {len(found)} trials begin so; give the whole trial_id")
    raise SpecError(f"{trial_id}: no such trial; see the column trial_id of campaign export")


def _setup_of(alike: list[SetupGrid], held: dict[str, Any], folder: Path) -> Setup:
    if alike:
        grids = identify(alike, digests_of(alike, lambda text: None))
        for grid in grids:
            if grid.setup.setup_id == held["setup_id"]:
                return grid.setup
    raise SpecError(
        f"{folder}: its spec, data or code no longer stand for {held['trial_id']} "
        f"({json.dumps({k: held[k] for k in ('model', 'dtype', 'method', 't')})})"
    )

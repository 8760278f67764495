"""What a results folder says of the past: how far, how fast, where a trial lies."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from campaign.errors import SetupError, SpecError
from campaign.runner.choose import results_place
from campaign.runner.folder import ResultsFolder
from campaign.runner.place import here, is_written
from campaign.runner.plan import CampaignPlan, plan_campaign
from campaign.runner.precision import precision_of
from campaign.runner.training_log import TrainingStatus, read_log
from campaign.runner.training_plan import plan_trainings
from campaign.runner.trials import NAMES
from campaign.spec.campaign import CampaignSpec
from campaign.spec.expand import SetupGrid, expand

if TYPE_CHECKING:
    import pandas as pd

    from campaign.analysis.sequential import Precision


@dataclass(frozen=True)
class SetupStatus:
    """How far one setup is."""

    label: str
    total: int
    ok: int
    failed: int
    accuracies: tuple[tuple[float, float], ...]
    """(BER, mean top-1 accuracy so far), ascending."""


@dataclass(frozen=True)
class CampaignStatus:
    """How far a campaign is.

    Args:
        name: The campaign.
        folder: Its results folder.
        running: Whether a driver holds the folder at this moment.
        setups: Every setup of its last spec.
        others: Rows of setups that its last spec no longer asks for.
        failures: Failed trials by (status, error type, message).
        capped: A line for each point that took ``precision.max_seeds`` and is not as precise.
        trainings: Every training that a run has met.
    """

    name: str
    folder: Path
    running: bool
    setups: tuple[SetupStatus, ...]
    others: int
    failures: tuple[tuple[str, str, str, int], ...]
    capped: tuple[str, ...] = ()
    trainings: tuple[TrainingStatus, ...] = ()

    @property
    def total(self) -> int:
        """Trials of the spec."""
        return sum(setup.total for setup in self.setups)

    @property
    def ok(self) -> int:
        """Trials with a result."""
        return sum(setup.ok for setup in self.setups)

    @property
    def failed(self) -> int:
        """Trials whose last try failed."""
        return sum(setup.failed for setup in self.setups)

    @property
    def state(self) -> str:
        """``running``, ``complete``, ``failed`` (all were tried, some failed) or ``stopped``."""
        if self.running:
            return "running"
        if self.ok + self.failed < self.total:
            return "stopped"
        return "failed" if self.failed else "complete"


def rows_of(folder: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of all rows, journal tail included; names that repeat as categories.

    Raises:
        SetupError: If the folder holds no results.
    """
    from campaign.engines.stores.reader import load_results

    table, lines = load_results(folder, columns, encoded=NAMES)
    for line in lines:
        warnings.warn(line, stacklevel=2)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def spec_of(folder: Path) -> CampaignSpec:
    """The spec of the last run into a folder.

    Raises:
        SetupError: If there is none.
    """
    held = ResultsFolder(folder)
    raw = held.read_json(held.resolved)
    if raw is None:
        raise SetupError(f"{folder}: no spec.resolved.json there; is it a results folder?")
    try:
        return CampaignSpec.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]["msg"]
        raise SetupError(f"{held.resolved}: is no longer understood: {first}") from None


def plan_with_history(spec: CampaignSpec, results: Path | str | None) -> CampaignPlan:
    """The plan, with times and finished trials from the results folder where there is one."""
    place = results_place(spec, results)
    folder = here(place, empty=True)
    trainings = plan_trainings(spec, place)
    if not any((folder / "trials").glob("*.parquet")) and not (folder / "journal.db").is_file():
        return replace(plan_campaign(spec, {}, 0), trainings=trainings)
    rows = rows_of(folder, [*_KEY, "status", "ber", "seed", "seconds"])
    good = rows[(rows.status == "ok") & (rows.ber > 0)]
    seconds = good.groupby(["model", "dtype", "method"], observed=True)["seconds"].mean()
    measured = {tuple(map(str, key)): float(value) for key, value in seconds.items()}  # type: ignore
    done = sum(ok for _, ok, _ in _progress(expand(spec), rows))
    return replace(plan_campaign(spec, measured, done), trainings=trainings)


def status_of(folder: Path) -> CampaignStatus:
    """How far the campaign in a folder is; safe while it runs.

    Raises:
        SetupError: If the folder holds no results.
    """
    spec = spec_of(folder)
    columns = ["status", "error_type", "error", "ber", "seed", "n_correct", "n_samples"]
    more = _OF_ESTIMATES if spec.precision is not None else ()
    rows = rows_of(folder, [*_KEY, *columns, *more])
    failed = rows.loc[rows.status != "ok", ["status", "error_type", "error"]]
    failed = failed.astype(object).fillna("")
    counted = failed.value_counts()
    setups, capped = _standing(spec, rows)
    return CampaignStatus(
        spec.name,
        folder,
        is_written(folder),
        setups,
        len(rows) - sum(setup.ok + setup.failed for setup in setups),
        tuple((*map(str, key), int(n)) for key, n in counted.items()),  # type: ignore[call-overload]
        capped,
        tuple(read_log(folder).values()),
    )


def folder_of_trial(results: Path, trial_id: str) -> Path:
    """The results folder that holds a trial: `results` itself or one below it.

    Raises:
        SpecError: If none or several do.
    """
    folders = [results, *sorted(p for p in results.glob("*") if p.is_dir())]
    found = []
    for folder in folders:
        if (folder / "trials").is_dir() or (folder / "journal.db").is_file():
            ids = rows_of(folder, ["trial_id"])["trial_id"]
            found += [folder] if ids.str.startswith(trial_id).any() else []
    if len(found) == 1:
        return found[0]
    where = ", ".join(map(str, found)) or f"no folder of {results}"
    raise SpecError(f"{trial_id}: found in {where}; give its folder with --results")


_KEY = ("model", "dtype", "method", "t", "nonfinite", "fault", "targets", "train_seed")
_OF_ESTIMATES = (
    "n_improved",
    "n_fault_free",
    "flipped_bits",
    "flipped_worst",
    "exposed_bits",
    "exposed_worst",
)


def _standing(
    spec: CampaignSpec, rows: pd.DataFrame
) -> tuple[tuple[SetupStatus, ...], tuple[str, ...]]:
    """Every setup, and a line for each point that was given up."""
    from campaign.runner.rounds import Rounds

    grids, precision = expand(spec), precision_of(spec)
    if precision is None:
        counted = [(grid, grid.n_trials, ok, bad) for grid, ok, bad in _progress(grids, rows)]
        curves, capped = [_curve(grid, rows) for grid in grids], list[str]()
    else:
        held = {
            _setup_key(key): [
                dict(zip(map(str, part), row, strict=True)) for row in part.itertuples(index=False)
            ]
            for key, part in rows.groupby(list(_KEY), dropna=False, observed=True)
        }
        rounds = Rounds(grids, precision, lambda s: held.get(s.key, []), keep_failed=True)
        counted = [(grid, *rounds.count(grid.setup)) for grid in grids]
        curves = [_estimates(held.get(grid.setup.key, []), precision) for grid in grids]
        capped = rounds.capped()
    setups = (
        SetupStatus(grid.setup.label, n, ok, bad, curve)
        for (grid, n, ok, bad), curve in zip(counted, curves, strict=True)
    )
    return tuple(setups), tuple(capped)


def _estimates(
    rows: Sequence[Mapping[str, Any]], precision: Precision
) -> tuple[tuple[float, float], ...]:
    """The curve of a setup whose fault maps were judged on samples of the images, as of a report.

    Args:
        rows: All of the setup; without the one of BER 0 there is nothing to estimate from.
        precision: What decides how many there are.
    """
    from campaign.analysis.maps import Clean, cell_history, maps_of, told

    good = [row for row in rows if row["status"] == "ok"]
    free = [row for row in good if row["ber"] == 0]
    if not free:
        return ()
    found = [(0.0, free[0]["n_correct"] / free[0]["n_samples"])]
    for ber in sorted({float(row["ber"]) for row in good} - {0.0}):
        mine = [row for row in rows if row["ber"] == ber]
        fault = str(mine[0]["fault"])
        history = cell_history(Clean.of(free[0]), maps_of(mine), ber=ber, fault=fault)
        if history.seeds > len(history.failed):
            found.append((ber, told(history, precision).estimate.accuracy))
    return tuple(found)


def _progress(grids: list[SetupGrid], rows: pd.DataFrame) -> list[tuple[SetupGrid, int, int]]:
    """Each setup with its trials that are finished and that failed."""
    held = {
        _setup_key(key): (
            set(zip(part.ber[part.status == "ok"], part.seed[part.status == "ok"], strict=True)),
            set(zip(part.ber[part.status != "ok"], part.seed[part.status != "ok"], strict=True)),
        )
        for key, part in rows.groupby(list(_KEY), dropna=False, observed=True)
    }
    found = []
    for grid in grids:
        ok, bad = held.get(grid.setup.key, (set(), set()))
        wanted = {(cell.ber, seed) for cell in grid.cells for seed in cell.seeds}
        found.append((grid, len(wanted & ok), len(wanted & bad)))
    return found


def _setup_key(columns: Sequence[Any]) -> tuple[str | int, ...]:
    """The key of `Setup` from the columns `_KEY` of a row."""
    model, dtype, method, t, *variant, seed = columns
    scale = "" if math.isnan(t) else repr(float(t))
    return (model, dtype, method, scale, *variant, "" if math.isnan(seed) else int(seed))


def _curve(grid: SetupGrid, rows: pd.DataFrame) -> tuple[tuple[float, float], ...]:
    setup = grid.setup
    mine = (
        (rows.model == setup.model_name)
        & (rows.dtype == setup.dtype.label)
        & (rows.method == setup.method)
        & (rows.nonfinite == setup.nonfinite)
        & (rows.fault == setup.fault_name)
        & (rows.targets == setup.targets.label)
        & (rows.t.isna() if setup.t is None else rows.t == setup.t)
        & (
            rows.train_seed.isna()
            if setup.training is None
            else rows.train_seed == setup.train_seed
        )
        & (rows.status == "ok")
    )
    part = rows[mine]
    means = (part.n_correct / part.n_samples).groupby(part.ber).mean()
    return tuple((float(ber), float(mean)) for ber, mean in means.items())  # type: ignore[arg-type]

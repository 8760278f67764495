"""Several trainings of a method are one curve of the dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from campaign.dashboard.trials import Page, trials_of
from campaign.dashboard.view import Filter, View
from campaign.dashboard.watch import WatchedCampaign
from campaign.engines.stores.manifest import list_part
from campaign.engines.stores.parts import write_part
from campaign.engines.stores.reader import read_results

if TYPE_CHECKING:
    from conftest import Seen

TRAININGS = 3


@pytest.fixture(scope="module")
def trained(seen: Seen, tmp_path_factory: pytest.TempPathFactory) -> View:
    """The clamp of the watched campaign as if it were trained three times, with other results."""
    folder = tmp_path_factory.mktemp("trained")
    frame = read_results(seen.folder).to_pandas()
    schema = read_results(seen.folder).schema
    plain = frame[(frame.dtype == "q2_5") & (frame.method != "range_clamp")]
    clamp = frame[(frame.dtype == "q2_5") & (frame.method == "range_clamp")]
    trials = folder / "trials"
    trials.mkdir()
    for seed in range(TRAININGS):
        own = clamp.assign(
            train_seed=seed,
            setup_id=f"{seed:016d}",
            trial_id=f"{seed:016d}" + clamp.trial_id.str.removeprefix(clamp.setup_id.iloc[0]),
            n_correct=np.maximum(clamp.n_correct - 7 * seed, 0),
        )
        list_part(trials, write_part(trials, pa.Table.from_pandas(own, schema, False)))
    list_part(trials, write_part(trials, pa.Table.from_pandas(plain, schema, False)))
    watched = WatchedCampaign(folder, "trained")
    watched.look()
    assert watched.view is not None, watched.overview
    return watched.view


def test_all_trainings_of_a_method_are_one_curve_with_the_mean_over_them(trained: View) -> None:
    chart = trained.chart(Filter())
    named = [chart["styles"][curve["style"]]["label"] for curve in chart["curves"]]
    assert sorted(named) == sorted(set(named))
    (curve,) = (c for c in chart["curves"] if c["trainings"] > 1)
    assert (curve["trainings"], curve["training"]) == (TRAININGS, None)
    frame = trained.snapshot.table.to_pandas()
    own = frame[frame.method == "range_clamp"]
    for place, mean, count in zip(*(curve["cells"][n] for n in ("ber", "mean", "trials")), strict=True):  # fmt: skip  # noqa: E501
        cell = own[own.ber == chart["bers"][place]]
        shares = (cell.n_correct / cell.n_samples).groupby(cell.train_seed).mean()
        assert (len(shares), len(cell)) == (TRAININGS, count)
        assert mean == pytest.approx(shares.mean(), abs=1e-12)
    assert len(trained.details["setups"]) == TRAININGS + 3  # progress is that of each setup


def test_behind_its_points_are_the_trials_of_all_trainings(trained: View, tmp_path: Path) -> None:
    (curve,) = (c for c in trained.chart(Filter())["curves"] if c["trainings"] > 1)
    found = trials_of(trained.snapshot, Page(curve["setup"], 1e-2, sort="train_seed"))
    seeds = [row[found["columns"].index("train_seed")] for row in found["rows"]]
    assert seeds == sorted(list(range(TRAININGS)) * 3)
    (plain,) = (c for c in trained.chart(Filter(methods=("none",)))["curves"])
    assert "train_seed" not in trials_of(trained.snapshot, Page(plain["setup"], 1e-2))["columns"]

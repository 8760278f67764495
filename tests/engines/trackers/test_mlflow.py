"""Curves in a real MLflow database, read back with sqlite3."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from campaign.engines.trackers.base import CampaignInfo
from campaign.engines.trackers.mlflow import MOST_CURVES, MlflowTracker
from campaign.engines.trackers.place import TrackingStore
from campaign.errors import SetupError

if TYPE_CHECKING:
    from conftest import Database

Curves = Callable[..., pd.DataFrame]
BASELINE = "resnet20 · fp32 · none"
SCALED = "resnet20 · fp32 · weight_scaling · t=2"


@pytest.fixture
def tracker(info: CampaignInfo, store: TrackingStore) -> MlflowTracker:
    return MlflowTracker(info, store)


def test_a_campaign_is_a_parent_run_and_a_child_run_for_each_curve(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    tracker.log(curves())
    assert sorted(database.runs().values()) == sorted(["demo", BASELINE, SCALED])
    parent = database.run("demo")
    assert database.tags(BASELINE)["mlflow.parentRunId"] == parent
    assert database.tags(SCALED)["mlflow.parentRunId"] == parent
    assert "mlflow.parentRunId" not in database.tags("demo")
    assert database.rows("SELECT name FROM experiments WHERE name = 'demo'") == [("demo",)]


def test_parameters_of_a_curve_are_its_axes(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    tracker.log(curves())
    axes = {
        "model": "resnet20",
        "dataset": "cifar10",
        "dtype": "fp32",
        "nonfinite": "propagate",
        "fault": "bit_flip",
        "targets": "weights",
    }
    assert database.params(BASELINE) == {**axes, "method": "none"}
    assert database.params(SCALED) == {**axes, "method": "weight_scaling", "t": "2"}


def test_the_parent_tells_spec_and_origin(
    tracker: MlflowTracker, info: CampaignInfo, curves: Curves, database: Database
) -> None:
    tracker.log(curves())
    assert database.params("demo") == {
        "grid.ber": "0.0, 1e-05, 0.0001, 0.001",
        "grid.seeds": "0 .. 49",
        "dataset": "digits",
    }
    tags = database.tags("demo")
    assert tags["campaign.id"] == "folder-1"
    assert tags["campaign.dir"] == str(info.folder)
    assert (tags["campaign.spec_sha"], tags["campaign.code_version"]) == ("5ha", "0.1.0+gabc")
    assert tags["mlflow.note.content"] == "What bits cost."
    assert tags["campaign.checkpoint.resnet20"] == "c" * 64
    inputs = database.rows(
        "SELECT d.name, d.digest, d.dataset_source_type, t.value FROM datasets d "
        "JOIN inputs i ON i.source_id = d.dataset_uuid "
        "JOIN input_tags t ON t.input_uuid = i.input_uuid "
        "WHERE t.name = 'mlflow.data.context' AND i.destination_id = ? ORDER BY d.name",
        database.run("demo"),
    )
    assert inputs == [
        ("digits", "d" * 36, "dataset", "dataset"),
        ("resnet20", "c" * 36, "checkpoint", "checkpoint"),
    ]


def test_metrics_are_stepped_by_bit_error_rate(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    tracker.log(curves(trials=0))
    assert database.history(SCALED, "ber") == list(enumerate((0.0, 1e-5, 1e-4, 1e-3)))
    assert database.history(SCALED, "top1_mean") == [(0, 0.9), (1, 0.899), (2, 0.89), (3, 0.8)]
    assert database.newest(SCALED, "log10_ber") == pytest.approx({1: -5, 2: -4, 3: -3})
    assert database.history(SCALED, "clean_top1") == [(0, 0.9)]


def test_steps_do_not_depend_on_which_rates_have_rows_yet(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    tracker.log(curves(bers=(1e-3,)))
    tracker.log(curves(bers=(0.0, 1e-3)))
    assert database.newest(SCALED, "ber") == {0: 0.0, 3: 1e-3}


def test_values_that_are_not_finite_never_reach_mlflow(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    tracker.log(curves(top1_low=math.nan, top1_high=math.inf, top1_sd=-math.inf, top5_mean=None))
    keys = {key for (key,) in database.rows("SELECT DISTINCT key FROM metrics")}
    assert keys.isdisjoint({"top1_low", "top1_high", "top1_sd", "top5_mean"})
    assert database.rows("SELECT max(abs(value)), max(is_nan) FROM metrics") == [(1000.0, 0)]


def test_a_tolerated_rate_is_a_summary_where_it_is_known(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    tracker.log(curves(ber_at_1pt=3e-5, ber_at_5pt=math.nan))
    assert database.history(SCALED, "ber_at_1pt_drop") == [(0, 3e-5)]
    assert database.history(SCALED, "ber_at_5pt_drop") == []


def test_logging_the_same_state_again_changes_nothing(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    tracker.log(curves())
    before = database.dump()
    tracker.log(curves())
    assert database.dump() == before


def test_syncing_twice_is_as_syncing_once(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    artifacts = [info.folder / "tables"]
    assert MlflowTracker(info, store).sync(curves(), "FINISHED", artifacts) == 2
    before = database.dump()
    assert MlflowTracker(info, store).sync(curves(), "FINISHED", artifacts) == 2
    assert database.dump() == before


def test_more_seeds_show_their_newest_value_in_the_same_run(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    for trials in (4, 7, 20):
        tracker = MlflowTracker(info, store)
        tracker.log(curves(trials))
        tracker.finish("KILLED")
    assert len(database.runs()) == 3
    assert database.newest(SCALED, "n_trials") == {0: 1, 1: 20, 2: 20, 3: 20}
    wanted = dict(enumerate(curves(20, (("none", math.nan),))["top1_mean"]))
    assert database.newest(SCALED, "top1_mean") == wanted
    assert database.rows(
        "SELECT value, step FROM latest_metrics WHERE run_uuid = ? AND key = 'top1_mean'",
        database.run(SCALED),
    ) == [(wanted[3], 3)]


def test_a_point_that_still_changes_waits_until_it_doubled_or_settled(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    for trials in (4, 5, 6, 7):
        tracker.log(curves(trials))
    assert database.history(SCALED, "n_trials")[1:] == [(1, 4), (2, 4), (3, 4)]
    tracker.log(curves(8))
    assert database.newest(SCALED, "n_trials") == {0: 1, 1: 8, 2: 8, 3: 8}
    tracker.log(curves(9))
    assert database.newest(SCALED, "n_trials")[1] == 8
    tracker.log(curves(9))
    assert database.newest(SCALED, "n_trials")[1] == 9


def test_an_end_tells_points_that_were_waiting(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    tracker.log(curves(4))
    tracker.log(curves(5))
    tracker.finish("FINISHED")
    assert database.newest(SCALED, "n_trials")[3] == 5


def test_an_interrupted_campaign_goes_on_without_doubling_runs_or_points(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    names = ("demo", BASELINE, SCALED)
    first = MlflowTracker(info, store)
    first.log(curves(4))
    assert {database.status(name) for name in names} == {"RUNNING"}
    first.finish("KILLED")
    assert {database.status(name) for name in names} == {"KILLED"}
    runs = database.runs()
    second = MlflowTracker(replace(info, started=1_800_000_000.0), store)
    second.log(curves(20))
    assert {database.status(name) for name in names} == {"RUNNING"}
    second.finish("FINISHED")
    assert {database.status(name) for name in names} == {"FINISHED"}
    assert sorted(database.runs().values()) == sorted(runs.values())
    for name in (BASELINE, SCALED):
        steps = [step for step, _ in database.history(name, "top1_mean")]
        assert len(steps) == len(set(steps)) == 4


def test_a_failed_campaign_is_marked_failed(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    tracker.log(curves(n_failed=2))
    tracker.finish("FAILED")
    assert database.status("demo") == "FAILED"
    assert database.newest(SCALED, "n_failed") == dict.fromkeys(range(4), 2)


def test_times_are_those_of_the_campaign(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    timed = replace(info, ended=1_700_000_060.5)
    MlflowTracker(timed, store).sync(curves(), "FINISHED")
    times = database.rows("SELECT DISTINCT start_time, end_time FROM runs")
    assert times == [(1_700_000_000_000, 1_700_000_060_500)]


def test_artifacts_keep_their_place_in_the_results_folder(
    tracker: MlflowTracker, info: CampaignInfo, curves: Curves, database: Database
) -> None:
    figure = info.folder / "figures" / "accuracy.svg"
    figure.parent.mkdir()
    figure.write_text("<svg/>")
    outside = info.folder.parent / "notes.txt"
    outside.write_text("n")
    tracker.log(curves())
    tracker.finish("FINISHED", [info.folder / "tables", figure, outside, outside / "no"])
    root = info.folder.parent / "mlartifacts" / database.run("demo") / "artifacts"
    attached = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert attached == {"spec.yaml", "tables/summary.csv", "figures/accuracy.svg", "notes.txt"}


def test_a_changed_spec_is_told_beside_the_parameter_it_changes(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    MlflowTracker(info, store).log(curves())
    grown = replace(info, spec={"grid": {"seeds": range(100)}, "dataset": "digits", "new": 1})
    MlflowTracker(grown, store).log(curves())
    assert database.params("demo")["grid.seeds"] == "0 .. 49"
    assert database.params("demo")["new"] == "1"
    assert database.tags("demo")["campaign.now.grid.seeds"] == "0 .. 99"


def test_a_rate_added_between_others_leaves_no_point_at_a_wrong_step(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    MlflowTracker(info, store).log(curves())
    bers = (0.0, 1e-5, 3e-5, 1e-4, 1e-3)
    MlflowTracker(replace(info, bers=bers), store).log(curves(bers=bers))
    assert database.history(SCALED, "ber") == list(enumerate(bers))
    assert len(database.runs()) == 3


def test_a_rate_added_at_the_end_continues_the_run(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    MlflowTracker(info, store).log(curves())
    runs, bers = database.runs(), (0.0, 1e-5, 1e-4, 1e-3, 1e-2)
    MlflowTracker(replace(info, bers=bers), store).log(curves(bers=bers))
    assert database.runs() == runs
    assert database.newest(SCALED, "ber") == dict(enumerate(bers))


def test_two_results_folders_of_one_name_share_an_experiment_and_nothing_else(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    MlflowTracker(info, store).sync(curves(), "FINISHED")
    MlflowTracker(replace(info, campaign_id="folder-2"), store).sync(curves(), "KILLED")
    assert len(database.runs()) == 6
    parents = database.rows("SELECT value FROM tags WHERE key = 'mlflow.parentRunId'")
    assert len(set(parents)) == 2
    assert len(database.rows("SELECT DISTINCT experiment_id FROM runs")) == 1


def test_runs_deleted_by_hand_are_made_anew(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    from mlflow import MlflowClient

    MlflowTracker(info, store).sync(curves(), "FINISHED")
    client = MlflowClient(store.uri)
    client.delete_run(database.run("demo"))
    client.delete_run(database.run(BASELINE))
    MlflowTracker(info, store).sync(curves(), "FINISHED")
    assert sorted(database.runs().values()) == sorted(["demo", BASELINE, SCALED])
    for name in (BASELINE, SCALED):
        assert database.tags(name)["mlflow.parentRunId"] == database.run("demo")
    assert len(database.history(BASELINE, "top1_mean")) == 4


def test_of_two_runs_for_one_curve_one_stays(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    from mlflow import MlflowClient

    MlflowTracker(info, store).log(curves())
    client = MlflowClient(store.uri)
    for name in ("demo", SCALED):
        run = client.get_run(database.run(name))
        tags = {key: text for key, text in run.data.tags.items() if key != "campaign.state"}
        client.create_run(run.info.experiment_id, run.info.start_time, tags)
    MlflowTracker(info, store).sync(curves(), "FINISHED")
    assert sorted(database.runs().values()) == sorted(["demo", BASELINE, SCALED])
    assert database.newest(SCALED, "ber") == dict(enumerate(info.bers))
    assert database.tags(BASELINE)["mlflow.parentRunId"] == database.run("demo")


def test_an_error_is_one_line_and_the_next_log_recovers(
    tracker: MlflowTracker, store: TrackingStore, curves: Curves, database: Database
) -> None:
    from mlflow import MlflowClient

    tracker.log(curves(4))
    MlflowClient(store.uri).delete_run(database.run(SCALED))
    with pytest.raises(SetupError, match=r"^MLflow at sqlite:///.*mlflow\.db: .*deleted") as caught:
        tracker.log(curves(10))
    assert "\n" not in str(caught.value)
    tracker.log(curves(10))
    assert database.newest(SCALED, "n_trials") == {0: 1, 1: 10, 2: 10, 3: 10}


def test_a_deleted_experiment_is_refused_with_the_way_out(
    tracker: MlflowTracker, store: TrackingStore, curves: Curves
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(store.uri)
    client.delete_experiment(client.create_experiment("demo"))
    with pytest.raises(SetupError, match=r"'demo' is deleted; restore it with 'mlflow exper"):
        tracker.log(curves())


def test_a_curve_of_more_values_than_fit_a_batch_is_complete(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    bers = tuple(10 ** (-9 + step / 20) for step in range(120))
    tracker.log(curves(bers=bers, methods=(("none", math.nan),)))
    assert database.rows("SELECT count(*) FROM metrics") == [(120 * 12,)]
    before = database.dump()
    tracker.finish("RUNNING")
    assert database.dump() == before


def test_too_many_curves_are_refused_before_anything_is_written(
    tracker: MlflowTracker, curves: Curves, database: Database
) -> None:
    before = database.dump()
    many = tuple(("weight_scaling", float(t)) for t in range(MOST_CURVES + 1))
    frame = curves(methods=many, bers=(1e-3,))
    with pytest.raises(SetupError, match=r"5001 curves; .* up to 5000 .* output\.mlflow: false"):
        tracker.sync(frame, "FINISHED")
    with pytest.raises(SetupError, match="5001 curves"):
        tracker.log(frame)
    assert database.dump() == before


def test_a_campaign_without_rows_is_a_parent_alone(
    tracker: MlflowTracker, database: Database
) -> None:
    tracker.log(pd.DataFrame())
    tracker.finish("KILLED")
    assert list(database.runs().values()) == ["demo"]
    assert database.status("demo") == "KILLED"

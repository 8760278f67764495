"""What the dashboard says of a campaign, while it runs and after."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from campaign.analysis.curves import curves
from campaign.analysis.rows import CURVE_KEYS
from campaign.dashboard.answers import Answers
from campaign.dashboard.progress import left_of, pace, standing
from campaign.dashboard.rows import FolderRows
from campaign.dashboard.serve import Mlflow
from campaign.dashboard.server import DashboardServer
from campaign.dashboard.trials import command_of
from campaign.dashboard.view import Filter
from campaign.dashboard.watch import Watch
from campaign.engines.stores.manifest import list_part
from campaign.engines.stores.parts import write_part
from campaign.engines.stores.reader import read_results
from campaign.errors import SetupError
from campaign.runner.history import CampaignStatus, SetupStatus

if TYPE_CHECKING:
    from conftest import Seen

TRIALS = 49


def test_a_running_campaign_is_followed_row_by_row(seen: Seen) -> None:
    assert set(seen.states) == {"running"}
    assert all(held == read for held, read in seen.counts)
    assert [held for held, _ in seen.counts] == sorted({held for held, _ in seen.counts})
    assert seen.points == sorted(seen.points)
    assert seen.points[0] < seen.points[-1] == 7 * 3
    assert len(seen.colours) == 1
    overview = seen.watched.overview
    assert overview["state"] == "complete"
    assert (overview["ok"], overview["total"], overview["failed"]) == (TRIALS, TRIALS, 0)
    live = json.loads((seen.folder / "live.json").read_text())
    assert live["ended"]
    assert live["workers"] == 1


def test_curves_are_those_of_the_report_and_counts_those_of_the_rows(seen: Seen) -> None:
    view = seen.watched.view
    assert view is not None
    rows = read_results(seen.folder)
    mine = pd.concat([c.points for c in view.curves]).sort_values([*CURVE_KEYS, "ber"])
    theirs = curves(rows).sort_values([*CURVE_KEYS, "ber"])
    columns = [*CURVE_KEYS, "ber", "n_trials", "top1_mean", "top1_low", "top1_high", "top5_mean"]
    pd.testing.assert_frame_equal(
        mine[columns].reset_index(drop=True), theirs[columns].reset_index(drop=True),
        check_dtype=False,
    )  # fmt: skip
    frame = rows.to_pandas()
    asked = Filter(dtype="q2_5", methods=("weight_scaling",), targets=("2",))
    chart = view.chart(asked)
    (curve,) = chart["curves"]
    assert chart["chosen"]["dtype"] == "q2_5"
    assert chart["facets"]["t"] == ["none", "1", "2"]
    part = frame[(frame.dtype == "q2_5") & (frame.method == "weight_scaling") & (frame.t == 2)]
    for place, mean in zip(curve["cells"]["ber"], curve["cells"]["mean"], strict=True):
        cell = part[part.ber == chart["bers"][place]]
        assert mean == pytest.approx((cell.n_correct / cell.n_samples).mean(), abs=1e-12)
    # A filter that fits nothing of another number format shows all of it, not an empty chart.
    assert len(view.chart(Filter(dtype="fp32", targets=("1",)))["curves"]) == 3
    by_label = {entry["label"]: entry for entry in view.details["setups"]}
    assert sum(entry["ok"] for entry in by_label.values()) == len(frame) == TRIALS


def test_parts_are_read_once_and_a_retried_trial_counts_once(seen: Seen, tmp_path: Path) -> None:
    table = read_results(seen.folder)
    trials = tmp_path / "trials"
    trials.mkdir()
    failed = pa.array(["error" if k < 4 else s for k, s in enumerate(table["status"].to_pylist())])
    first = table.set_column(table.schema.get_field_index("status"), "status", failed)
    first = pa.table(first.columns, schema=table.schema).slice(0, 20)
    for rows in (first, table.slice(2)):  # trials 0 and 1 stay failed, 2 and 3 were tried again
        list_part(trials, write_part(trials, rows))
    folder = FolderRows(tmp_path)
    held = folder.read()
    statuses = dict(
        zip(held.table["trial_id"].to_pylist(), held.table["status"].to_pylist(), strict=True)
    )
    ids = table["trial_id"].to_pylist()
    assert len(held.table) == TRIALS
    assert [key for key in ids if statuses[key] != "ok"] == ids[:2]
    assert folder.whole_row(ids[3], held)["status"] == "ok"
    assert folder.whole_row(ids[0], held)["status"] == "error"
    part = sorted(trials.glob("*.parquet"))[0]
    part.write_bytes(b"not read again")
    assert len(folder.read().table) == TRIALS
    afresh = FolderRows(tmp_path).read()
    assert part.name in afresh.warnings[0]
    assert len(afresh.table) == TRIALS - 2


def test_the_pace_is_that_of_the_last_two_minutes() -> None:
    now = 10_000.0
    ended = np.concatenate([np.linspace(1000, 2000, 500), now - np.arange(60.0)[::-1] - 1])
    table = pa.table({"finished_at": ended, "n_samples": np.full(len(ended), 50)})
    found = pace(table, 120, running=True, now=now)
    assert found == pytest.approx({"trials": 1.0, "images": 50.0, "eta": 120.0})
    assert pace(table, 120, running=False, now=now)["eta"] is None
    slow = table.slice(0, 500)  # nothing of late: the last ten, up to now
    assert pace(slow, 5, running=True, now=now)["trials"] == pytest.approx(10 / (now - ended[490]))


def test_what_failed_in_this_run_is_not_left_and_what_failed_before_is() -> None:
    counts = {"total": 1000, "ok": 500, "failed": 400}
    assert left_of(counts, {"queued": 90, "in_flight": 10}) == 100  # a first run: 400 are over
    assert left_of(counts, {"queued": 480, "in_flight": 20}) == 500  # tried again
    assert left_of(counts, {"queued": 880, "in_flight": 20}) == 500  # said a moment ago
    assert left_of(counts, None) == 100


@pytest.mark.parametrize(
    ("ok", "failed", "state"), [(10, 0, "complete"), (8, 2, "failed"), (5, 2, "stopped")]
)
def test_the_state_is_that_of_campaign_status(ok, failed, state, tmp_path: Path) -> None:
    counts = {"total": 10, "ok": ok, "failed": failed}
    assert standing(tmp_path, 1.0, counts)["state"] == state
    setups = (SetupStatus("a", 10, ok, failed, ()),)
    assert CampaignStatus("c", tmp_path, False, setups, 0, ()).state == state


def test_the_command_allows_the_code_that_the_model_of_the_trial_needs(seen: Seen) -> None:
    view = seen.watched.view
    assert view is not None
    assert not view.run_code
    told = command_of(Path("/r/x"), "ab-s3", runs_code=True)
    assert told == "campaign replay ab-s3 --results /r/x --allow-code"


def test_mlflow_is_started_once_a_campaign_has_made_its_database(tmp_path: Path) -> None:
    links: dict[str, str] = {}
    with socket.socket() as held, ExitStack() as stack:
        held.bind(("127.0.0.1", 0))
        mlflow = Mlflow(tmp_path, held.getsockname()[1], stack, links)
        assert "no MLflow database" in str(mlflow.start())
        assert not mlflow.look()
        sqlite3.connect(tmp_path / "mlflow.db").close()
        (tmp_path / "mlflow.db").touch()
        assert not mlflow.look()
        assert not mlflow.look()  # the port is taken
        assert "is taken" in str(mlflow.start())
        held.close()
        assert mlflow.look()
        assert list(links) == ["MLflow"]
        assert links["MLflow"] in mlflow.told()
        assert not mlflow.look()


def test_a_root_may_hold_empty_damaged_and_nested_folders(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "empty" / "trials").mkdir(parents=True)
    deep = tmp_path / "group" / "deep" / "trials"
    deep.mkdir(parents=True)
    table = read_results(seen.folder)
    pq.write_table(table.replace_schema_metadata({"campaign.schema_version": "99"}), deep / "a.parquet")  # fmt: skip  # noqa: E501
    watch = Watch(tmp_path)
    watch._find()
    for campaign in watch.campaigns.values():
        campaign.look()
    found = {name: c.overview for name, c in watch.campaigns.items()}
    assert found.keys() == {"empty", "group/deep"}
    assert found["empty"]["state"] == "empty"
    assert found["group/deep"]["state"] == "unreadable"
    assert "schema version 99" in found["group/deep"]["problem"]


def test_the_server_answers_reads_only_and_knows_its_name(seen: Seen) -> None:
    before = {p: p.stat().st_mtime_ns for p in seen.folder.rglob("*")}
    watch = Watch(seen.folder)
    watch.start()
    with DashboardServer("127.0.0.1", 0, Answers(watch, {})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            _questions(server.url, seen)
            with pytest.raises(SetupError, match="use --port N"):
                DashboardServer("127.0.0.1", server.server_address[1], Answers(watch, {}))
        finally:
            server.shutdown()
            watch.stop()
    assert {p: p.stat().st_mtime_ns for p in seen.folder.rglob("*")} == before


def _questions(url: str, seen: Seen) -> None:
    for _ in range(100):
        _, _, chart = _ask(url, "/api/campaign", name="watched")
        if chart["chart"]:
            break
        threading.Event().wait(0.1)
    status, headers, _ = _ask(url, "/api/campaigns")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    curve = chart["chart"]["curves"][0]
    frame = read_results(seen.folder).to_pandas()
    point = frame[(frame.setup_id == curve["setup"]) & (frame.ber == 1e-2)]
    asked = {"name": "watched", "setup": curve["setup"], "ber": "0.01"}
    _, _, trials = _ask(url, "/api/trials", **asked, sort="accuracy", down="1")
    shares = [row[trials["columns"].index("accuracy")] for row in trials["rows"]]
    assert shares == sorted(point.n_correct / point.n_samples, reverse=True)
    trial_id = trials["rows"][0][0]
    _, _, trial = _ask(url, "/api/trial", name="watched", id=trial_id)
    (row,) = point[point.trial_id == trial_id].to_dict("records")
    shown = {key: row[key] for key in ("n_correct", "seed", "flips_digest", "code_version")}
    assert {key: trial["row"][key] for key in shown} == shown
    assert trial["command"] == f"campaign replay {trial_id} --results {seen.folder}"
    status, _, found = _ask(url, "/api/trials", **asked, sort="colour")
    assert status == 400
    assert "allowed: trial_id, seed" in found["error"]
    assert _ask(url, "/api/campaign", name="../etc")[0] == 400
    assert _ask(url, "/etc/passwd")[0] == 404
    assert _ask(url, "/", headers={"Host": "evil.example"})[0] == 403
    _, headers, _ = _ask(url, "/app.js")
    assert _ask(url, "/app.js", headers={"If-None-Match": headers["ETag"]})[0] == 304


def _ask(
    url: str, path: str, headers: dict[str, str] | None = None, **query: str
) -> tuple[int, dict[str, str], Any]:
    request = urllib.request.Request(f"{url}{path}?{urlencode(query)}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, found, body = answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, found, body = error.code, dict(error.headers), error.read()
    is_json = found.get("Content-Type") == "application/json" and body
    return status, found, json.loads(body) if is_json else body

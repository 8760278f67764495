"""MLflow's own pages in a browser, on a campaign that was run and on one that is running."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from campaign.engines.stores.reader import read_results
from campaign.engines.trackers.place import sqlite_file, tracking_store
from campaign.engines.trackers.ui import Server, mlflow_server
from campaign.notebook import Results
from campaign.runner.result import Job, RunOptions
from campaign.runner.run import run_campaign
from campaign.spec.load import load
from tests.engines.trackers.test_ui import running
from tests.runner.conftest import Ear

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SPEC = """\
name: shown
models: digits_cnn
dataset: digits
grid:
  dtype: [fp32, q2_5]
  method: [none, range_clamp]
  ber: [1.0e-3, 1.0e-2]
  seeds: 2
  nonfinite: zero
evaluation: {subset: 60}
engine: {executor: inline}
output: {report: false}
"""
EXPANDER = "[role=row] button[data-component-id*=runnamecellrenderer]"
PLOTS = """JSON.stringify([...document.querySelectorAll('.js-plotly-plot')].map(
  plot => plot.data.map(line => [line.name, line.x, line.y])))"""


def until(browser: Any, script: str) -> Any:
    """The value of a script once it is something."""
    deadline = time.monotonic() + 120
    while not (found := browser.evaluate(script)):
        assert time.monotonic() < deadline, browser.evaluate("document.body.innerText")
        time.sleep(0.2)
    return found


def chart(browser: Any, server: Server, search: str, metric: str, lines: int) -> None:
    """Open the chart view of the first experiment on one metric; wait until so many lines stand."""
    browser.open("about:blank")  # else an address that differs behind # only is not loaded anew
    browser.call("Storage.clearDataForOrigin", origin=server.url, storageTypes="all")
    browser.open(
        f"{server.url}/#/experiments/1/runs?compareRunsMode=CHART&searchFilter={quote(search)}"
    )
    until(browser, f"document.querySelector('{EXPANDER}')?.click() === undefined"
          f" && document.querySelector('{EXPANDER}') !== null")  # fmt: skip
    field = "document.querySelector('input[placeholder=\"Search metric charts\"]')"
    until(browser, f"{field} && ({field}.focus(), true)")
    browser.call("Input.insertText", text=metric)
    until(browser, "document.querySelectorAll('.js-plotly-plot').length === 1"
          f" && document.querySelector('.js-plotly-plot').data?.length >= {lines}")  # fmt: skip


def wait_for_metrics(database: Path | None, campaign: subprocess.Popen[str]) -> None:
    """Until the campaign has told MLflow of a first point."""
    assert database is not None
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and campaign.poll() is None:
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database)) as held:
            if held.execute("SELECT 1 FROM latest_metrics WHERE key = 'top1_mean'").fetchone():
                return
        time.sleep(1)
    raise AssertionError(campaign.stderr.read() if campaign.poll() and campaign.stderr else "none")


def points(browser: Any, server: Server) -> int:
    """How many rates of curves MLflow draws by now; waits for the first."""
    chart(browser, server, "params.dtype = 'fp32'", "top1_mean", 1)
    (lines,) = json.loads(browser.evaluate(PLOTS))
    return len({(name, step) for name, steps, _ in lines for step in steps or ()})


def complained(browser: Any) -> list[Any]:
    """Errors of the console, but for the question that MLflow without users cannot answer."""
    found = browser.complaints()
    entries = [each["params"].get("entry", {}) for each in found]
    errors = [each["url"] for each in entries if each.get("level") == "error"]
    thrown = [each for each in found if each["method"] == "Runtime.exceptionThrown"]
    return [url for url in errors if not url.endswith("/users/current")] + thrown


def test_the_curves_of_a_campaign_stand_in_one_chart_of_mlflow(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "spec.yaml").write_text(SPEC)
    loaded, folder = load(tmp_path / "spec.yaml", ()), tmp_path / "results" / "shown"
    result = run_campaign(
        Job(loaded.spec, loaded.text, loaded.resolved()), RunOptions(folder, None, None), Ear()
    )
    assert result.exit_code == 0
    server = mlflow_server(tracking_store(folder.parent, environ={}))
    with running(server, tmp_path):
        chart(browser, server, "params.dtype = 'fp32'", "top1_mean", 2)
        (lines,) = json.loads(browser.evaluate(PLOTS))
        requests, errors = browser.requests(), complained(browser)
    curves = Results(folder).curves()
    drawn = {name: (x, y) for name, x, y in lines if x}
    assert len(drawn) == 2
    for method in ("none", "range_clamp"):
        (name,) = [each for each in drawn if method in each.split(" · ")]
        rows = curves[(curves["dtype"] == "fp32") & (curves["method"] == method)]
        assert drawn[name][0] == list(range(len(rows)))
        assert drawn[name][1] == pytest.approx(rows.sort_values("ber")["top1_mean"].tolist())
    assert all(each.startswith((server.url, "data:", "blob:")) for each in requests)
    assert not errors


def test_points_appear_in_mlflow_while_a_campaign_runs(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    spec, folder = tmp_path / "spec.yaml", tmp_path / "results" / "shown"
    rates = "ber: {logspace: [1.0e-4, 1.0e-2], per_decade: 3}"
    spec.write_text(
        SPEC.replace("ber: [1.0e-3, 1.0e-2]", rates)
        .replace("seeds: 2", "seeds: 2000")
        .replace("subset: 60", "subset: 500")
    )
    store = tracking_store(folder.parent, environ={})
    campaign = subprocess.Popen(
        [sys.executable, "-m", "campaign", "run", str(spec), "--results", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for_metrics(sqlite_file(store.uri), campaign)
        server = mlflow_server(store)
        with running(server, tmp_path):
            first = seen = points(browser, server)
            deadline = time.monotonic() + 120
            while seen <= first and time.monotonic() < deadline:
                seen = points(browser, server)
            assert seen > first
            assert campaign.poll() is None  # it runs on while the page is read
            requests, errors = browser.requests(), complained(browser)
            campaign.send_signal(signal.SIGTERM)
            _, told = campaign.communicate(timeout=60)
            assert campaign.returncode == 128 + signal.SIGTERM, told
    finally:
        campaign.kill()
        campaign.wait()
    curves = Results(folder).curves()
    assert first < seen <= (curves["dtype"] == "fp32").sum()
    assert len(read_results(folder)) < 4 * 7 * 2000
    assert not errors
    assert all(each.startswith((server.url, "data:", "blob:")) for each in requests)

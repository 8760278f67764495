"""MLflow's own pages in a browser, on a campaign that was run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from campaign.engines.trackers.place import tracking_store
from campaign.engines.trackers.ui import mlflow_server
from campaign.notebook import Results
from campaign.runner.result import Job, RunOptions
from campaign.runner.run import run_campaign
from campaign.spec.load import load
from tests.engines.trackers.test_ui import running

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
    deadline = time.monotonic() + 40
    while not (found := browser.evaluate(script)):
        assert time.monotonic() < deadline, browser.evaluate("document.body.innerText")
        time.sleep(0.2)
    return found


class Quiet:
    """What a run tells is of no interest here."""

    def note(self, text: str) -> None:
        """Nothing."""

    def planned(self, total: int, done: int, todo: int, results: Path) -> None:
        """Nothing."""

    def progressed(self, records: object, status: object) -> None:
        """Nothing."""


def test_the_curves_of_a_campaign_stand_in_one_chart_of_mlflow(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "spec.yaml").write_text(SPEC)
    loaded, folder = load(tmp_path / "spec.yaml", ()), tmp_path / "results" / "shown"
    result = run_campaign(
        Job(loaded.spec, loaded.text, loaded.resolved()), RunOptions(folder, None, None), Quiet()
    )
    assert result.exit_code == 0
    server = mlflow_server(tracking_store(folder.parent, environ={}))
    with running(server, tmp_path):
        wanted = quote("params.dtype = 'fp32'")
        browser.open(
            f"{server.url}/#/experiments/1/runs?compareRunsMode=CHART&searchFilter={wanted}"
        )
        until(browser, f"document.querySelector('{EXPANDER}')?.click() === undefined"
              f" && document.querySelector('{EXPANDER}') !== null")  # fmt: skip
        search = "document.querySelector('input[placeholder=\"Search metric charts\"]')"
        until(browser, f"{search} && ({search}.focus(), true)")
        browser.call("Input.insertText", text="top1_mean")
        until(browser, "document.querySelectorAll('.js-plotly-plot').length === 1"
              " && document.querySelector('.js-plotly-plot').data?.length >= 2")  # fmt: skip
        (lines,) = json.loads(browser.evaluate(PLOTS))
        requests, complaints = browser.requests(), browser.complaints()
    curves = Results(folder).curves()
    drawn = {name: (x, y) for name, x, y in lines if x}
    assert len(drawn) == 2
    for method in ("none", "range_clamp"):
        (name,) = [each for each in drawn if method in each.split(" · ")]
        rows = curves[(curves["dtype"] == "fp32") & (curves["method"] == method)]
        assert drawn[name][0] == list(range(len(rows)))
        assert drawn[name][1] == pytest.approx(rows.sort_values("ber")["top1_mean"].tolist())
    assert all(each.startswith((server.url, "data:", "blob:")) for each in requests)
    errors = [each["params"]["entry"]["url"] for each in complaints
              if each["params"].get("entry", {}).get("level") == "error"]  # fmt: skip
    assert all(url.endswith("/users/current") for url in errors)  # MLflow asks for what it lacks
    assert not [each for each in complaints if each["method"] == "Runtime.exceptionThrown"]

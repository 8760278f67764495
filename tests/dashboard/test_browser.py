"""The dashboard in a browser, on a campaign that is running."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from campaign.dashboard.answers import Answers
from campaign.dashboard.server import DashboardServer
from campaign.dashboard.watch import Watch
from campaign.engines.stores.manifest import list_part
from campaign.engines.stores.parts import write_part
from campaign.engines.stores.reader import read_results
from campaign.engines.stores.schema import arrow_schema

pytestmark = pytest.mark.browser
SPEC = """\
name: long
models: digits_cnn
dataset: digits
grid:
  dtype: [fp32, bf16, fp16, int8, q2_5, q1_6]
  method: [none, range_clamp]
  ber: {logspace: [1.0e-4, 1.0e-2], per_decade: 2}
  seeds: 100
  nonfinite: zero
evaluation: {subset: 500}
engine: {executor: inline}
output: {mlflow: false, report: false}
"""
DRAWN = "document.querySelectorAll('#curves-chart .series > .mark').length"
POINT = """(() => {
  const box = byId("curves-chart"), mark = box.querySelectorAll(".series > .mark")[1];
  box.scrollIntoView();
  const at = mark.getBoundingClientRect();
  const place = { clientX: at.x + at.width / 2, clientY: at.y + at.height / 2 };
  box.dispatchEvent(new PointerEvent("pointermove", place));
  return byId("tip").hidden ? "" : byId("tip").innerText;
})()"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The results of a campaign that runs as long as the tests do."""
    root = tmp_path_factory.mktemp("long")
    (root / "spec.yaml").write_text(SPEC, "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "campaign", "run", str(root / "spec.yaml"),
         "--results", str(root / "results" / "long"), "--no-report"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield root / "results"
    still_running = process.poll() is None
    process.terminate()
    _, told = process.communicate(timeout=60)
    assert still_running, told


@contextmanager
def served(root: Path) -> Iterator[str]:
    """A dashboard of the campaigns under `root`, and its address."""
    watch = Watch(root)
    with DashboardServer("127.0.0.1", 0, Answers(watch, {})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        watch.start()
        yield server.url
        server.shutdown()
        watch.stop()


@pytest.fixture(scope="module")
def url(results: Path) -> Iterator[str]:
    results.mkdir(exist_ok=True)
    with served(results) as address:
        yield address


def until(browser: Any, script: str, seconds: float = 90) -> Any:
    """The value of `script` once it is true."""
    ends = time.monotonic() + seconds
    while not (found := browser.evaluate(script)):
        assert time.monotonic() < ends, browser.evaluate("document.body.innerText")
        time.sleep(0.2)
    return found


def test_a_running_campaign_is_shown_as_it_grows(browser: Any, url: str, results: Path) -> None:
    browser.open(url)
    assert "No results" in until(browser, "!byId('message').hidden && byId('message').innerText")
    until(browser, f"!byId('campaign').hidden && {DRAWN} >= 2")
    assert browser.evaluate("document.querySelector('#tiles .state').innerText") == "running"
    done = "byId('tiles').innerText.match(/([\\d,]+) of 6,012/)[1].replace(',', '')"
    first = int(browser.evaluate(done))
    until(browser, f"Number({done}) > {first}")
    until(browser, "byId('tiles').innerText.includes('1 of 1')")  # workers busy
    assert "no driver" not in browser.evaluate("byId('workers-note').innerText.toLowerCase()")

    told = until(browser, POINT)
    assert "BER 3.16\u00d710⁻⁴" in told
    assert "maps of 500 images" in told
    browser.evaluate("byId('curves-chart').click()")
    until(browser, "document.querySelectorAll('#trials-table tbody tr').length > 1")
    browser.evaluate("document.querySelector('#trials-table td button').click()")
    command = until(browser, "byId('trial-command').innerText")
    trial_id = command.split()[2]
    shown = browser.evaluate("byId('trial-table').innerText")
    (row,) = [r for r in read_results(results / "long").to_pylist() if r["trial_id"] == trial_id]
    assert command == f"campaign replay {trial_id} --results {results / 'long'}"
    assert f"n_correct\t{row['n_correct']}" in shown
    assert f"flips_digest\t{row['flips_digest']}" in shown
    assert not browser.complaints()
    assert all(request.startswith(url) for request in browser.requests())


def test_filters_filter_by_keyboard_on_a_narrow_dark_page(browser: Any, url: str) -> None:
    browser.open(url, width=400, height=800, dark=True)
    until(browser, f"{DRAWN} >= 1")
    assert browser.evaluate("document.querySelectorAll('#setups tbody tr').length") == 12
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert browser.evaluate(ground) == "rgb(20, 23, 28)"
    browser.evaluate("byId('filters').querySelector('select[data-facet=metric]').focus()")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowDown", code="ArrowDown",
                 windowsVirtualKeyCode=40)  # fmt: skip
    until(browser, "byId('curves-title').innerText.startsWith('top-5')")
    assert "metric=top5" in browser.evaluate("location.hash")
    browser.evaluate("byId('curves-chart').focus()")
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key)
    title = until(browser, "!byId('trials').hidden && document.activeElement.innerText")
    assert title.startswith("Trials: none, BER ")
    browser.evaluate("byId('trials-close').click()")
    assert browser.evaluate("document.activeElement.id") == "curves-chart"
    assert not browser.complaints()


@pytest.fixture(scope="module")
def failed_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard over 4 trials of a point: one succeeded, and three failed."""
    root = tmp_path_factory.mktemp("failed")
    trials = root / "results" / "trials"
    trials.mkdir(parents=True)
    given = dict.fromkeys(arrow_schema().names)
    given |= {"setup_id": "ab", "campaign": "c", "model": "m", "dataset": "d", "dtype": "fp32"}
    given |= {"method": "none", "nonfinite": "zero", "fault": "bit_flip", "targets": "weights"}
    given |= {"ber": 1e-3, "seconds": 1.0, "device": "cpu", "host": "h", "attempt": 1}
    lost = {**given, "error_type": "ValueError", "error": "no", "status": "error"}
    good = {**given, "status": "ok", "n_samples": 10, "n_correct": 9, "n_correct_top5": 10}
    rows = [{**lost, "seed": seed, "trial_id": f"ab-{seed}"} for seed in range(3)]
    rows.insert(1, {**good, "seed": 9, "trial_id": "ab-9"})
    rows = [{**row, "finished_at": 1.0} for row in rows]
    list_part(trials, write_part(trials, pa.Table.from_pylist(rows, arrow_schema())))
    with served(root / "results") as address:
        yield address


@pytest.mark.slow
def test_a_failure_leads_to_the_trials_of_its_point(browser: Any, failed_url: str) -> None:
    browser.open(failed_url)
    until(browser, "!!document.querySelector('#failures td button')")
    browser.evaluate("void (window.held = document.querySelector('#failures td button')).focus()")
    asked = len(browser.requests())
    until(browser, "document.activeElement === held")
    while len(browser.requests()) < asked + 4:  # two more answers: what has not changed stays
        until(browser, "document.activeElement === held")
        time.sleep(0.2)
    browser.evaluate("held.click()")
    until(browser, "!byId('trial').hidden && byId('trial-command').innerText.includes('ab-0')")
    told = until(browser, "document.querySelectorAll('#trials-table tbody tr').length === 4 && "
                 "byId('trials-table').tBodies[0].innerText")  # fmt: skip
    assert [line.split("\t")[2] for line in told.splitlines()] == ["error"] * 3 + ["ok"]
    assert browser.evaluate("byId('trials-title').innerText").endswith("none, BER 10⁻³")
    assert browser.evaluate("byId('trials-before').disabled && byId('trials-after').disabled")
    assert not browser.complaints()


@pytest.mark.slow
def test_a_server_that_is_gone_is_said_to_be(browser: Any, results: Path) -> None:
    results.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "campaign", "ui", str(results), "--port", "0", "--no-mlflow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        browser.open(process.stdout.readline().split()[1])
        until(browser, "byId('pulse').dataset.state === 'live'")
        process.terminate()
        process.stdout.read()
    assert process.returncode == 0
    told = until(browser, "byId('pulse').dataset.state === 'stale' && byId('pulse').innerText")
    assert "does not answer since" in told
    browser.open("about:blank")  # whose page asks no more

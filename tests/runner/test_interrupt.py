"""A driver that is told to stop, or is killed: nothing finished is lost, nothing runs twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from campaign.engines.stores.reader import read_results
from campaign.errors import SetupError
from campaign.records import RESULT_COLUMNS

pytestmark = pytest.mark.slow


def start(campaign, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "campaign", "run", str(campaign.path)]
    command += ["--results", str(campaign.results), "--json", *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )


def wait_for_rows(results: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if read_results(results).num_rows >= count:
                return
        except SetupError:
            pass
        time.sleep(0.05)


def results_of(folder: Path) -> dict[str, tuple[object, ...]]:
    table = read_results(folder).to_pylist()
    assert len({row["trial_id"] for row in table}) == len(table)
    return {row["trial_id"]: tuple(row[c] for c in RESULT_COLUMNS) for row in table}


@pytest.fixture
def long_campaign(campaign):  # noqa: ANN201
    """Some 20 seconds of work."""
    campaign.edit("seeds: 3", "seeds: 300")
    campaign.edit("{subset: 100}", "{subset: 600}")
    return campaign


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_drains_and_the_same_command_goes_on(long_campaign, number, code) -> None:
    process = start(long_campaign)
    wait_for_rows(long_campaign.results, 20, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert '"event": "done"' in out
    done = len(results_of(long_campaign.results))
    assert 20 <= done < 2404
    long_campaign.edit("seeds: 300", "seeds: 30")
    result = long_campaign.run()
    assert (result.total, result.exit_code) == (244, 0)
    assert result.ran <= 244


def test_killed_again_and_again_ends_with_the_rows_of_an_unbroken_run(long_campaign) -> None:
    long_campaign.edit("seeds: 300", "seeds: 60")
    chance = random.Random(1)
    kept = 0
    for _ in range(3):
        process = start(long_campaign)
        wait_for_rows(long_campaign.results, kept + chance.randint(1, 60), process)
        process.kill()
        process.communicate(timeout=60)
        now = len(results_of(long_campaign.results))
        assert now > kept
        kept = now
    resumed = long_campaign.run()
    assert (resumed.exit_code, resumed.ran) == (0, 484 - kept)
    broken = results_of(long_campaign.results)
    long_campaign.results = long_campaign.root / "results" / "unbroken"
    long_campaign.run()
    assert broken == results_of(long_campaign.results)

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SCRIPT = """
import os, signal, sys
from campaign.engines.executors.ray import RayExecutor

assert "ray" not in sys.modules
executor = RayExecutor(address="local", workers=1)
executor.start()
assert not os.environ.get("OMP_NUM_THREADS")
signal.signal(signal.SIGTERM, lambda *_: executor.stop())
{body}
executor.close()
"""
RUN = """
import ray.cloudpickle
sys.path.insert(0, sys.argv[1])
import conftest as kit
ray.cloudpickle.register_pickle_by_value(kit)
work = kit.ScriptedWork(kit.Path(sys.argv[2]), {script}, trial_seconds={seconds})
rows = []
for found in executor.run([kit.make_task("a", 200)], work, {{"numbers": kit.ASSET}}):
    rows += found
    if {terminate} and len(rows) > 20:
        os.kill(os.getpid(), signal.SIGTERM)
print(len(rows), len({{row.trial_id for row in rows}}))
"""


def python(body: str, home: Path) -> subprocess.CompletedProcess[str]:
    ours = ("RAY_", "OMP_NUM_THREADS")  # the latter is set for tests, and looked for in the script
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    here = Path(__file__).parent
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body), str(here), str(home)],
        env={**kept, "HOME": str(home)},
        cwd=here.parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_local_run_prints_nothing_of_its_own_and_leaves_no_token(tmp_path: Path) -> None:
    body = RUN.format(script={"a-30": "kill-once"}, seconds=0.0, terminate=False)
    done = python(body, tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("200 200\n", "", 0)
    assert not (tmp_path / ".ray").exists()


def test_sigterm_drains_a_run_when_the_handler_is_installed_after_the_start(
    tmp_path: Path,
) -> None:
    done = python(RUN.format(script={}, seconds=0.1, terminate=True), tmp_path)
    assert done.returncode == 0, done.stderr
    rows, unique = map(int, done.stdout.split())
    assert 20 < rows == unique < 60

"""MLflow is imported late, stays quiet, and is given one process at a time to begin with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from campaign.engines.trackers.client import one_line, quiet_environment, told_in_a_line
from campaign.errors import DriftError, SetupError

FIRST_LOG = """
import sys, threading
from pathlib import Path
import pandas as pd
from campaign.engines.trackers.background import BackgroundTracker
from campaign.engines.trackers.base import CampaignInfo
from campaign.engines.trackers.mlflow import MlflowTracker
from campaign.engines.trackers.place import tracking_store

root = Path(sys.argv[1])
info = CampaignInfo("demo", sys.argv[2], root)
tracker = BackgroundTracker(MlflowTracker(info, tracking_store(root, environ={})))
assert "mlflow" not in sys.modules
tracker.log(pd.DataFrame([{"model": "m", "dtype": "fp32", "method": "none", "ber": 0.0}]))
tracker.finish("FINISHED", timeout=100)
assert tracker.trouble is None, tracker.trouble
assert "torch" not in sys.modules and "ray" not in sys.modules
"""


def first_log(root: Path, campaign_id: str) -> subprocess.Popen[str]:
    unset = ("MLFLOW_", "DO_NOT_TRACK", "PYTHONWARNINGS")
    environ = {key: text for key, text in os.environ.items() if not key.startswith(unset)}
    return subprocess.Popen(
        [sys.executable, "-c", FIRST_LOG, str(root), campaign_id],
        cwd=root,
        env={**environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_two_campaigns_may_begin_a_database_at_once_without_a_word_or_a_stray_file(
    tmp_path: Path,
) -> None:
    processes = [first_log(tmp_path, campaign_id) for campaign_id in ("a", "b")]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert outputs == ["", ""]
    assert [process.returncode for process in processes] == [0, 0]
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_what_the_user_has_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    assert quiet_environment()["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert int(quiet_environment()["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 10
    monkeypatch.setenv("DO_NOT_TRACK", "false")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    assert "MLFLOW_DISABLE_TELEMETRY" not in quiet_environment()
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in quiet_environment()


def test_an_error_is_told_with_its_root_in_one_line_without_passwords() -> None:
    root = OSError(111, "Connection refused")
    error = RuntimeError("http://ann:s3cret@lab/api failed\nTraceback")
    error.__cause__ = root
    assert one_line(error) == (
        "RuntimeError: http://ann:***@lab/api failed "
        "(because of ConnectionRefusedError: [Errno 111] Connection refused)"
    )
    assert len(one_line(ValueError("x" * 1000))) == 200
    assert one_line(KeyError()) == "KeyError: "


def test_errors_that_are_ours_pass_unchanged() -> None:
    with pytest.raises(DriftError, match=r"^ours$"), told_in_a_line("sqlite:////m.db"):
        raise DriftError("ours")
    with pytest.raises(SetupError, match=r"^MLflow at sqlite:////m\.db: ValueError: theirs$"):
        with told_in_a_line("sqlite:////m.db"):
            raise ValueError("theirs")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    from campaign.engines.trackers.client import connect

    (tmp_path / "file").write_text("")
    uri = f"sqlite:///{tmp_path}/file/mlflow.db"
    with pytest.raises(SetupError, match="Error"), told_in_a_line(uri):
        connect(uri)

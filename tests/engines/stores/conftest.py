from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from campaign.records import TrialRecord

SCRIPT = Path(__file__).with_name("writers.py")


@dataclass
class Writers:
    """Writer processes on one results folder, one after the other; see `writers.py`."""

    served: subprocess.Popen[str]
    folder: Path
    acks: Path
    pid: int = 0

    def start(
        self,
        first: int,
        last: int,
        *,
        seal_rows: int = 30,
        die: tuple[str, int, bool] | None = None,
        file_bytes: int = 0,
        stay: bool = False,
    ) -> None:
        order = {"first": first, "last": last, "seal_rows": seal_rows, "die": die, "stay": stay}
        paths = {"folder": str(self.folder), "acks": str(self.acks), "file_bytes": file_bytes}
        assert self.served.stdin is not None
        self.served.stdin.write(json.dumps(order | paths) + "\n")
        self.served.stdin.flush()
        self.pid = int(self._line())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """The exit status of the writer, negative for a signal, when it has ended."""
        return int(self._line())

    def said(self) -> str:
        return str(json.loads(self._line()))

    def kept(self) -> list[int]:
        """Every trial that `append` has returned for."""
        return [int(n) for n in self.acks.read_text().split()] if self.acks.exists() else []

    def wait_for(self, rows: int) -> None:
        """Return when so many trials are kept; a writer that does not get there is an error."""
        deadline = time.monotonic() + 60
        while len(self.kept()) < rows:
            assert time.monotonic() < deadline, f"{len(self.kept())} of {rows} rows in a minute"
            time.sleep(0.002)

    def _line(self) -> str:
        assert self.served.stdout is not None
        return self.served.stdout.readline()


@pytest.fixture(scope="session")
def served() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def writers(served: subprocess.Popen[str], tmp_path: Path) -> Writers:
    return Writers(served, tmp_path / "results", tmp_path / "acks")


@pytest.fixture(scope="session")
def make_record() -> Callable[..., TrialRecord]:
    make: Callable[..., TrialRecord] = runpy.run_path(str(SCRIPT))["make_record"]
    return make

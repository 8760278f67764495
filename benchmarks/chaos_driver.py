"""Start a campaign as its user does, watch its rows, and compare them with those of a calm run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from campaign.engines.stores.reader import read_results
from campaign.errors import CampaignError
from campaign.records import RESULT_COLUMNS

MARK = "CAMPAIGN_CHAOS_RUN"
"""Environment variable that all processes of a run inherit."""
PATIENCE = 180.0
"""Seconds without progress after which a run counts as hanging."""
SPEC = """\
name: chaos
models: {model}
dataset: digits
grid:
  dtype: [fp32, q2_5]
  method: [none, range_clamp]
  ber: [1.0e-3, 1.0e-2]
  seeds: {seeds}
evaluation: {{subset: 600}}
engine: {{executor: {executor}, patience_seconds: 3}}
output: {{mlflow: false, report: false}}
"""

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["torch", "sklearn.datasets", "campaign.runner.run"])

Rows = dict[str, tuple[object, ...]]


class Tally(NamedTuple):
    """What came of a fault."""

    injected: int
    lost: int
    doubled: int
    differing: int
    recovery: float | None = None
    """Seconds, the longest, from a fault, or the command that follows it, to the next new row."""
    ending: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether the fault struck and every row of a calm run is there once, as it was."""
        return self.injected > 0 and not self.lost and not self.doubled and not self.differing


def rows_of(folder: Path) -> Rows:
    """Results by trial id; those of no run are none."""
    try:
        table = read_results(folder).to_pylist()
    except CampaignError:
        return {}
    return {row["trial_id"]: tuple(row[c] for c in RESULT_COLUMNS) for row in table}


@dataclass
class Driver:
    """One `campaign ...` process.

    Args:
        words: The command line behind `campaign`.
        log: Where both of its streams go.
        variables: Environment of its own.
        prepare: Called in the process first, to limit what it may use.
    """

    words: tuple[str, ...]
    log: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        held = {**self.variables, MARK: self.mark}
        arguments = (self.words, str(self.log), held, self.prepare)
        self.process: BaseProcess = _PROCESSES.Process(target=_main, args=arguments)
        self.process.start()

    def kill(self) -> None:
        """SIGKILL, to the driver and to what it has started."""
        self.process.kill()
        self.process.join()
        for pid in marked(self.mark):
            send(pid, signal.SIGKILL)

    def wait(self, seconds: float = 3 * PATIENCE) -> int:
        """Its exit code."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.kill()
            raise AssertionError(f"campaign {' '.join(self.words)}: still there after {seconds} s")
        return self.process.exitcode

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.exitcode is None

    def told(self) -> str:
        """What it has printed."""
        return self.log.read_text("utf-8", errors="replace") if self.log.exists() else ""


@dataclass
class Case:
    """A small campaign in a folder of its own, and the rows that it gives in peace.

    Args:
        root: An empty folder.
        executor: ``inline`` or ``ray``.
        seeds: Seeds of each rate: 8 trials each.
        model: The model as the spec names it.
    """

    root: Path
    executor: str = "inline"
    seeds: int = 30
    model: str = "digits_cnn"
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.spec, self.folder = self.root / "spec.yaml", self.root / "results" / "chaos"
        text = SPEC.format(model=self.model, seeds=self.seeds, executor=self.executor)
        self.spec.write_text(text, "utf-8")

    def start(
        self,
        *more: str,
        folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> Driver:
        """`campaign run`, which begins or goes on."""
        words = ("run", str(self.spec), "--results", str(folder or self.folder))
        log = self.root / f"{uuid.uuid4().hex[:8]}.log"
        return Driver((*words, *self.extra, *more), log, variables or {}, prepare)

    def calm(self) -> Rows:
        """The rows of a run in which nothing goes wrong, in this process's machine alone."""
        folder = self.root / "results" / "calm"
        driver = self.start("--executor", "inline", folder=folder)
        code = driver.wait()
        assert code in (0, 3), driver.told()
        return rows_of(folder)

    def wait_for(self, rows: int, driver: Driver, folder: Path | None = None) -> int:
        """Wait until there are so many rows, or the driver has ended; how many there are."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            held = len(rows_of(folder or self.folder))
            if held >= rows or not driver.is_running:
                return held
            time.sleep(0.03)
        raise AssertionError(f"no progress for {PATIENCE:g} s:\n{driver.told()}")

    def until_next(self, held: int, driver: Driver) -> float:
        """Seconds until there is a row more than `held`."""
        begun = time.monotonic()
        self.wait_for(held + 1, driver)
        return time.monotonic() - begun

    def finished(self, calm: Rows, injected: int, recovery: float | None, ending: str) -> Tally:
        """Go on to the end, as the user would, and compare."""
        driver = self.start()
        begun, held = time.monotonic(), len(rows_of(self.folder))
        if recovery is None and held < len(calm):
            self.wait_for(held + 1, driver)
            recovery = time.monotonic() - begun
        code = driver.wait()
        assert code in (0, 3), driver.told()
        return self.tally(calm, injected, recovery, ending)

    def tally(self, calm: Rows, injected: int, recovery: float | None, ending: str) -> Tally:
        """Compare the rows as they lie there."""
        ids = read_results(self.folder)["trial_id"].to_pylist()
        found = rows_of(self.folder)
        differing = sum(found.get(key, value) != value for key, value in calm.items())
        lost = len(calm.keys() - found.keys())
        doubled = len(ids) - len(set(ids)) + len(found.keys() - calm.keys())
        return Tally(injected, lost, doubled, differing, recovery, ending)


def marked(mark: str) -> list[int]:
    """Processes that carry the mark of a run."""
    return [pid for pid, _ in _processes(mark)]


def actors(mark: str) -> list[int]:
    """Processes of Ray actors among them; an idle worker is called ray::IDLE."""
    return [
        pid
        for pid, title in _processes(mark)
        if title.startswith("ray::") and "IDLE" not in title and "Agent" not in title
    ]


def send(pid: int, number: int) -> bool:
    """Send a signal; False if the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def ended_afterwards(driver: Driver) -> Iterator[Driver]:
    """The driver and all that it has started end with the block, whatever happens."""
    try:
        yield driver
    finally:
        driver.kill()


def _processes(mark: str) -> Iterator[tuple[int, str]]:
    sought = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if sought in (entry / "environ").read_bytes():
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                yield int(entry.name), title
        except OSError:
            continue


def _main(
    words: tuple[str, ...],
    log: str,
    variables: Mapping[str, str],
    prepare: Callable[[], None] | None,
) -> None:
    """The driver's process: the command line, with its streams in a file."""
    from campaign.cli import main

    held = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(held, 1)
    os.dup2(held, 2)
    os.environ.update(variables)
    sys.stdout, sys.stderr = open(1, "w", buffering=1), open(2, "w", buffering=1)
    sys.argv = ["campaign", *words]
    if prepare is not None:
        prepare()
    try:
        main()
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

"""Faults that need no cluster: disks, files, drivers, memory, clocks, models."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from chaos_driver import Case, Driver, Tally, rows_of, send

CLOCK = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    static int calls;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int held = real(clock, now);
    if (held == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += (calls++ / 16 % 3 - 1) * 86400L;
    return held;
}
"""
"""The clock on the wall, which jumps by a day every 16 times that it is read."""
TROUBLED = '''
import torch
from campaign.sources.digits_cnn import DigitsCnnModel


class Troubled(torch.nn.Module):
    """Raises where a weight is huge, answers NaN where one is large."""

    def __init__(self):
        super().__init__()
        self.inner = DigitsCnnModel().build()

    def forward(self, x):
        most = max(float(p.abs().max()) for p in self.inner.parameters())
        if most > 1e20:
            raise ValueError("a weight is huge")
        logits = self.inner(x)
        return logits * float("nan") if most > 100 else logits


class Hungry(torch.nn.Module):
    """Asks for 64 MiB an image, and never touches them."""

    def __init__(self):
        super().__init__()
        self.inner = DigitsCnnModel().build()

    def forward(self, x):
        torch.empty(len(x) << 26, dtype=torch.uint8)
        return self.inner(x)
'''
PIXELS = f"{{mean: 0.0, std: {16 / 255}}}"
"""Digits have pixels up to 16."""
ROOM = 6 << 30
"""Bytes that a process may take beyond what it has: 96 images of the hungry network."""


def driver_killed(case: Case, times: int = 2) -> Tally:
    """SIGKILL at random moments; the same command goes on."""
    calm, chance, kills, recovery = case.calm(), random.Random(1), 0, 0.0
    while kills < times:
        held = len(rows_of(case.folder))
        driver = case.start()
        recovery = max(recovery, case.until_next(held, driver)) if kills else 0.0
        case.wait_for(held + chance.randint(1, len(calm) // (2 * times)), driver)
        if not driver.is_running:
            break
        driver.kill()
        kills += 1
    return case.finished(calm, kills, None if kills < 2 else recovery, "same command goes on")


def corrupted_part(case: Case) -> Tally:
    """The last sealed part is cut in half; its trials run again."""
    calm = case.calm()
    assert case.start("--limit", str(len(calm) // 2)).wait() == 4
    part = max(case.folder.rglob("*.parquet"), key=lambda path: path.stat().st_mtime)
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    begun = time.monotonic()
    driver = case.start()
    code = driver.wait()
    assert code == 0, driver.told()
    assert part.name in driver.told(), "the part that was set aside is not named"
    return case.tally(calm, 1, time.monotonic() - begun, "set aside with a warning, run again")


def full_disk(case: Case) -> Tally:
    """No byte more can be written: error 6 in a line; with room again, the same command goes on."""
    calm = case.calm()
    with _small_disk(case) as disk:
        driver = case.start(prepare=None if disk else _few_bytes)
        if disk:
            case.wait_for(1, driver)
            _fill(disk)
        code = driver.wait()
        _assert_one_line(driver, code)
        if disk:
            (disk / "ballast").unlink()
        return case.finished(calm, 1, None, "exit 6; same command goes on")


def read_only(case: Case) -> Tally:
    """The results cannot be written to: error 6 in a line."""
    calm = case.calm()
    with _small_disk(case) as disk:
        if disk is None:
            raise SkippedError("no file system can be mounted here")
        assert case.start("--limit", "20").wait() == 4
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        driver = case.start()
        code = driver.wait()
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        _assert_one_line(driver, code)
        return case.finished(calm, 1, None, "exit 6; same command goes on")


def two_drivers(case: Case) -> Tally:
    """A second driver on the same results ends with error 7; the first does not notice."""
    calm = case.calm()
    first = case.start()
    case.wait_for(1, first)
    second = case.start()
    code = second.wait()
    assert (code, first.is_running) == (7, True), second.told() + first.told()
    assert first.wait() == 0, first.told()
    return case.tally(calm, 1, None, "exit 7 for the second")


def out_of_memory(case: Case) -> Tally:
    """A batch does not fit: it is halved, with a warning."""
    case = _with_own_model(case, "Hungry", batch="300")
    roomy = replace(case, extra=(*case.extra, "--set", "evaluation.batch_size=50"))
    calm = roomy.calm()
    driver = case.start(prepare=_little_memory)
    code = driver.wait()
    assert code == 0, driver.told()
    assert "evaluated in batches of 75" in driver.told(), driver.told()
    return case.tally(calm, 1, None, "batch halved, warned")


def troubled_model(case: Case) -> Tally:
    """A network that raises in some trials and answers NaN in others; and its driver is killed."""
    case = _with_own_model(case, "Troubled")
    calm = case.calm()
    raised = sum(row[0] == "error" for row in calm.values())
    driver = case.start()
    case.wait_for(1, driver)
    driver.kill()
    tally = case.finished(calm, raised, None, "rows of status error, exit 3")
    assert 0 < raised < len(calm)
    return tally


def clock_jumps(case: Case) -> Tally:
    """The clock on the wall goes a day back and forth all the time."""
    calm = case.calm()
    if shutil.which("cc") is None:
        raise SkippedError("no C compiler")
    source, library = case.root / "clock.c", case.root / "clock.so"
    source.write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    jumps = "import time; t=[time.time() for _ in range(99)]; print(max(t)-min(t))"
    spread = _under(library, "-c", jumps)
    assert float(spread.stdout) > 86400, "the clock does not jump"
    words = ("run", str(case.spec), "--results", str(case.folder), *case.extra)
    done = _under(library, "-m", "campaign", *words)
    assert done.returncode == 0, done.stderr
    return case.tally(calm, int(float(spread.stdout) > 0), None, "unnoticed")


def mlflow_restarted(case: Case) -> Tally:
    """The MLflow server is killed in the middle: a warning; `sync-mlflow` makes it good."""
    calm = case.calm()
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    variables = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    server = _mlflow(case.root, port)
    try:
        driver = case.start("--set", "output.mlflow=true", variables=variables)
        case.wait_for(1, driver)
    finally:
        _end(server)
    code = driver.wait()
    assert code == 0, driver.told()
    assert "sync-mlflow" in driver.told(), driver.told()
    begun, server = time.monotonic(), _mlflow(case.root, port)
    try:
        sync = Driver(("sync-mlflow", str(case.folder)), case.root / "sync.log", variables)
        code = sync.wait()
        assert code == 0, sync.told()
        took = time.monotonic() - begun
    finally:
        _end(server)
    with sqlite3.connect(case.root / "mlflow.db") as base:
        active = "select count(*) from runs where lifecycle_stage = 'active'"
        assert base.execute(active).fetchone()[0] == 4 + 1, "curves are missing in MLflow"
    return case.tally(calm, 1, took, "warned; sync-mlflow")


class SkippedError(Exception):
    """The machine cannot make this fault."""


def _under(library: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python with the clock of `library`."""
    variables = {**os.environ, "LD_PRELOAD": str(library)}
    return subprocess.run(
        [sys.executable, *words], env=variables, capture_output=True, text=True, check=False
    )


def _with_own_model(case: Case, name: str, batch: str = "auto") -> Case:
    """The same campaign on a network of a file, with weights of its own."""
    from campaign.sources.digits_cnn import DigitsCnnModel

    code, weights = case.root / "network.py", case.root / "weights.pt"
    case.root.mkdir(parents=True, exist_ok=True)
    code.write_text(TROUBLED)
    state = DigitsCnnModel().state()
    torch.save({f"inner.{key}": torch.tensor(value) for key, value in state.items()}, weights)
    how = f"weights: {weights}, architecture: '{code}:{name}', normalize: {PIXELS}"
    extra = ("--allow-code", "--set", f"evaluation.batch_size={batch}")
    return replace(case, model=f"{{files: {{{how}}}}}", extra=extra)


@contextmanager
def _small_disk(case: Case) -> Iterator[Path | None]:
    """A file system of 8 MiB under the results; None where nothing can be mounted."""
    case.folder.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", "size=8m", "none", str(case.folder)]
    if os.geteuid() or subprocess.run(["mount", *options], check=False).returncode:
        yield None
        return
    try:
        yield case.folder
    finally:
        subprocess.run(["umount", "-l", str(case.folder)], check=True)


def _fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        size = 1 << 16
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def _few_bytes() -> None:
    """No file of this process grows beyond 48 KiB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (48 << 10, 48 << 10))


def _little_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _assert_one_line(driver: Driver, code: int) -> None:
    """Error 6, in one line that says what to do."""
    errors = [line for line in driver.told().splitlines() if line.startswith("error: ")]
    assert (code, len(errors)) == (6, 1), f"exit {code}:\n{driver.told()}"
    assert "Traceback" not in driver.told(), driver.told()


def _mlflow(root: Path, port: int) -> subprocess.Popen[bytes]:
    """An MLflow server, once it answers."""
    words = ["server", "--backend-store-uri", f"sqlite:///{root}/mlflow.db", "--workers", "1"]
    words += ["--default-artifact-root", str(root / "artifacts")]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-m", "mlflow", *words]
    server = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)
    ends = time.monotonic() + 90
    while time.monotonic() < ends and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server
        except OSError:
            time.sleep(0.2)
    _end(server)
    raise AssertionError("the MLflow server did not start")


def _end(server: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the server and its workers, which are a group of their own."""
    if send(-server.pid, 0):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()

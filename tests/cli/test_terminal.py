"""What people see while a campaign runs, in a terminal and in a log."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from campaign.cli.progress import Picture
from campaign.records import COLUMNS, TrialRecord

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference" / "cifar10_resnet20"
RUN = """\
import sys
from dataclasses import fields
from campaign.cli import progress
from campaign.records import TrialRecord

progress.PLAIN_EVERY = progress.PICTURE_EVERY = 0.0
def record(method, ber, right):
    given = {f.name: None for f in fields(TrialRecord)}
    given |= dict(model="resnet20", dtype="fp32", method=method, nonfinite="propagate",
                  fault="bit_flip", targets="weights", ber=ber, seed=0, status="ok",
                  n_samples=100, n_correct=right, seconds=0.1)
    return TrialRecord(**given)
with progress.listener_for(as_json=False) as view:
    view.planned(40, 0, 40, "results/x")
    for k in range(20):
        view.progressed([record(f"method_{k}", 0.0, 90), record(f"method_{k}", 1e-3, 11)],
                        {"workers": 2})
    view.note("x" * 100)
"""


def in_terminal(*command: str, **environment: str) -> tuple[list[str], str]:
    """What a command writes to a terminal of 24 lines and 80 columns: lines, and all of it."""
    main, side = pty.openpty()
    ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    known = {k: os.environ[k] for k in ("PATH", "PYTHONPATH", "HOME") if k in os.environ}
    child = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**known, "TERM": "xterm-256color", **environment},
        stdin=side,
        stdout=side,
        stderr=side,
    )
    os.close(side)
    written = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # Linux says so where the other side is closed
            piece = b""
        if not piece:
            break
        written += piece
    os.close(main)
    assert child.wait(60) == 0, written.decode()
    text = written.decode()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return [line for line in re.split(r"[\r\n]+", shown) if line.strip()], text


@pytest.mark.parametrize(
    ("environment", "signs"),
    [
        ({"PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}, "█▁"),
        ({"PYTHONIOENCODING": "ascii"}, "@_"),
    ],
)
def test_curves_grow_under_the_bar_within_80_columns(environment, signs) -> None:
    lines, raw = in_terminal("-c", RUN, **environment)
    longest = [line for line in lines if len(line) > 80]
    assert [line.strip("x") for line in longest] in ([], [""]), longest  # the note wraps by itself
    row = next(line for line in lines if "method_19" in line)
    assert f" {signs} " in row
    assert "90.0" in row
    assert "11.0" in row
    assert any("more curves" in line for line in lines)
    assert any("/40" in line for line in lines)
    if "NO_COLOR" in environment:
        assert not re.search(r"\x1b\[[0-9;]*3[0-8]", raw)
    else:
        assert all(line.isascii() for line in lines if "method_" in line)


def test_a_log_holds_whole_lines_without_escapes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "TERM": "xterm-256color"},
    )
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
    lines = done.stderr.splitlines()
    assert max(len(line) for line in lines if "x" * 100 not in line) <= 80
    assert any(re.match(r"40/40 trials, \d+\.\d/s", line) for line in lines)
    assert any(re.search(r"method_19 .* 90\.0 +11\.0 +2$", line) for line in lines)


@pytest.mark.parametrize(
    ("environment", "plain"), [({"PYTHONIOENCODING": "utf-8"}, False), ({"TERM": "dumb"}, True)]
)
def test_status_draws_every_curve_within_80_columns(environment, plain) -> None:
    lines, raw = in_terminal("-m", "campaign", "status", str(REFERENCE), **environment)
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in raw
    (row,) = (line for line in lines if "scaled_tanh" in line)
    assert row.split()[-1] == "221/221"
    assert row.isascii() == plain
    assert "81.6" in row


def test_trials_that_failed_are_not_waited_for() -> None:
    view = Picture()
    view.plan(10, 0)
    given = {name: None for name in COLUMNS}
    given |= {"model": "m", "dtype": "fp32", "method": "none", "ber": 0.0, "seconds": 0.1}
    view.add([TrialRecord(**{**given, "status": "error"}) for _ in range(6)], {})
    assert view.seconds_left == pytest.approx(4 / view.rate, rel=0.5)
    view.add([TrialRecord(**{**given, "status": "ok"}) for _ in range(4)], {})
    assert view.seconds_left == 0
    assert "about 0 s left" in view.line()

"""What a run shows while it goes on: a live view, plain lines, or JSON lines."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from campaign.analysis.labels import curve_key
from campaign.analysis.terminal import sparkline
from campaign.records import TrialRecord
from campaign.runner.result import Listener
from campaign.text import rate_text

_WRITING = threading.RLock()
PLAIN_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class Picture:
    """What all views show: counts, rate, and the curve that grew last."""

    def __init__(self) -> None:
        self.total = self.done = self.failed = self.ran = 0
        self.started: float | None = None
        self.status: Mapping[str, object] = {}
        self._sums: dict[str, dict[float, list[float]]] = {}
        self._last = ""

    def plan(self, total: int, done: int) -> None:
        """Start counting."""
        self.total, self.done = total, done

    def add(self, records: Sequence[TrialRecord], status: Mapping[str, object]) -> None:
        """Count records."""
        self.status = {key: value for key, value in status.items() if key != "total"}
        if isinstance(total := status.get("total"), int):
            self.total = total  # it grows where trials are added until a mean is known
        if self.started is None:
            self.started = time.monotonic() - sum(record.seconds for record in records)
        for record in records:
            self.ran += 1
            self.done += record.status == "ok"
            self.failed += record.status != "ok"
            if record.n_samples:
                self._last = curve_key(record.to_row())
                held = self._sums.setdefault(self._last, {}).setdefault(record.ber, [0.0, 0.0])
                held[0] += (record.n_correct or 0) / record.n_samples
                held[1] += 1

    @property
    def rate(self) -> float:
        """Trials a second since the first began."""
        return 0.0 if self.started is None else self.ran / (time.monotonic() - self.started)

    @property
    def seconds_left(self) -> float | None:
        """At the present rate."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None

    def curve(self) -> str:
        """The curve that grew last: name, sparkline, first and last accuracy."""
        if not self._last:
            return ""
        points = sorted(self._sums[self._last].items())
        means = [total / count for _, (total, count) in points]
        ends = f"{means[0]:.1%} at {rate_text(points[0][0])}"
        if len(points) > 1:
            ends += f" to {means[-1]:.1%} at {rate_text(points[-1][0])}"
        return f"{self._last}  {sparkline(means, plain=not prints_blocks())}  {ends}"

    def line(self) -> str:
        """Everything in one line."""
        left = self.seconds_left
        eta = "" if left is None else f", about {_duration(left)} left"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}/{self.total} trials{failed}, {self.rate:.1f}/s{eta}; {self.curve()}"


class PlainListener:
    """A line now and then, on stderr."""

    def __init__(self) -> None:
        self.picture = Picture()
        self._printed = 0.0

    def note(self, text: str) -> None:
        write_line(text, sys.stderr)

    def planned(self, total: int, done: int, todo: int, results: Path) -> None:
        self.picture.plan(total, done)
        self.note(f"{total} trials: {done} done, {todo} to run; results in {results}")

    def progressed(self, records: Sequence[TrialRecord], status: Mapping[str, object]) -> None:
        self.picture.add(records, status)
        if time.monotonic() - self._printed >= PLAIN_EVERY:
            self._printed = time.monotonic()
            self.note(self.picture.line())


class JsonListener:
    """Events as JSON lines on stdout: note, planned, progress."""

    def __init__(self) -> None:
        self.picture = Picture()
        self._printed = 0.0

    def note(self, text: str) -> None:
        _emit("note", text=text)

    def planned(self, total: int, done: int, todo: int, results: Path) -> None:
        self.picture.plan(total, done)
        _emit("planned", total=total, done=done, todo=todo, results=str(results))

    def progressed(self, records: Sequence[TrialRecord], status: Mapping[str, object]) -> None:
        self.picture.add(records, status)
        if time.monotonic() - self._printed >= 1.0:
            self._printed = time.monotonic()
            p = self.picture
            _emit(
                "progress",
                done=p.done,
                total=p.total,
                failed=p.failed,
                trials_per_second=round(p.rate, 3),
                seconds_left=p.seconds_left,
                **p.status,
            )


class LiveListener:
    """A bar with rate, time left and failures, and the current curve under it."""

    def __init__(self, console: Console) -> None:
        self.picture = Picture()
        self.console = console
        self.bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[workers]}"),
            console=console,
        )
        self.task = self.bar.add_task("", total=None, rate="", workers="")
        self.live = Live(Group(self.bar), console=console, refresh_per_second=4, transient=True)

    def note(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def planned(self, total: int, done: int, todo: int, results: Path) -> None:
        self.picture.plan(total, done)
        self.note(f"{total} trials: {done} done, {todo} to run; results in {results}")
        self.bar.update(self.task, total=total, completed=done)

    def progressed(self, records: Sequence[TrialRecord], status: Mapping[str, object]) -> None:
        picture = self.picture
        picture.add(records, status)
        failed = f" {picture.failed} failed" if picture.failed else ""
        workers = f"{status.get('workers', 1)} workers" if status else ""
        self.bar.update(
            self.task,
            total=picture.total,
            completed=picture.done,
            rate=f"{picture.rate:.1f}/s{failed}",
            workers=workers,
        )
        curve = Text(picture.curve(), overflow="ellipsis", no_wrap=True)
        self.live.update(Group(self.bar, curve))


@contextmanager
def listener_for(*, as_json: bool) -> Iterator[Listener]:
    """The view that fits: JSON lines, a live view on a terminal, else plain lines."""
    console = Console(stderr=True, markup=False)
    if as_json:
        yield JsonListener()
    elif console.is_terminal:
        live = LiveListener(console)
        with live.live:
            yield live
    else:
        yield PlainListener()


def write_line(text: str, stream: TextIO) -> None:
    """One whole line, also when several threads write."""
    with _WRITING:
        stream.write(text + "\n")
        stream.flush()


def prints_blocks() -> bool:
    """Whether standard error takes block characters."""
    stream = sys.__stderr__ or sys.stderr  # a live view replaces sys.stderr
    return "utf" in (stream.encoding or "").lower()


def _emit(event: str, **values: object) -> None:
    write_line(json.dumps({"event": event, **values}), sys.stdout)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"

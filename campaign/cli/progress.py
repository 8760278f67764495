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

from rich import progress as bars
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from campaign.analysis.labels import curve_key
from campaign.analysis.picture import Progress, key, picture
from campaign.cli.terminal import printable, shows_blocks
from campaign.records import TrialRecord
from campaign.runner.result import Listener

_WRITING = threading.RLock()
PLAIN_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""
PICTURE_EVERY = 60.0
"""Seconds between two pictures of the curves there."""
MOST_CURVES = 12
"""Curves in a picture while a run goes on."""


class Picture:
    """What all views show: counts, rate, and the curves as they grow."""

    def __init__(self) -> None:
        self.total = self.done = self.failed = self.ran = 0
        self.started: float | None = None
        self.status: Mapping[str, object] = {}
        self._sums: dict[str, dict[float, list[float]]] = {}
        self._grown: dict[str, int] = {}

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
                name = curve_key(record.to_row())
                self._grown[name] = self.ran
                held = self._sums.setdefault(name, {}).setdefault(record.ber, [0.0, 0.0])
                held[0] += (record.n_correct or 0) / record.n_samples
                held[1] += 1

    @property
    def rate(self) -> float:
        """Trials a second since the first began."""
        return 0.0 if self.started is None else self.ran / (time.monotonic() - self.started)

    @property
    def seconds_left(self) -> float | None:
        """At the present rate; what failed in this run is not tried again in it."""
        left = self.total - self.done - self.failed
        return left / self.rate if self.rate > 0 else None

    def curves(self, most: int) -> tuple[list[Progress], int]:
        """The curves that grew last, in the order of their beginnings; how many are left out."""
        kept = sorted(self._grown, key=self._grown.__getitem__)[-most:] if most > 0 else []
        shown = [
            Progress(
                name,
                [(ber, total / count) for ber, (total, count) in sorted(cells.items())],
                f"{round(sum(count for _, count in cells.values()))}",
            )
            for name, cells in self._sums.items()
            if name in kept
        ]
        return shown, len(self._sums) - len(shown)

    def lines(self, most: int, *, plain: bool) -> list[str]:
        """The picture of so many curves, and what its signs are; none before the first trial."""
        shown, left = self.curves(most)
        if not shown:
            return []
        more = f"; {left} more curves" if left else ""
        lines = [*picture(shown, plain=plain), f"{key(plain=plain)}{more}"]
        return [printable(line, ascii_only=plain) for line in lines]

    def line(self) -> str:
        """The counts in one line."""
        left = self.seconds_left
        eta = "" if left is None else f", about {_duration(left)} left"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}/{self.total} trials{failed}, {self.rate:.1f}/s{eta}"


class PlainListener:
    """A line now and then, and the curves more rarely, on stderr."""

    def __init__(self) -> None:
        self.picture = Picture()
        self._printed = 0.0
        self._drawn = time.monotonic()

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
        if time.monotonic() - self._drawn >= PICTURE_EVERY:
            self._drawn = time.monotonic()
            lines = self.picture.lines(MOST_CURVES, plain=not shows_blocks(sys.stderr))
            self.note("\n".join(lines))


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
    """A bar with rate, time left and failures, and the curves that grow under it."""

    def __init__(self, console: Console) -> None:
        self.picture = Picture()
        self.console = console
        self.stream = sys.__stderr__ or sys.stderr  # the live view replaces sys.stderr
        self.bar = bars.Progress(
            bars.BarColumn(bar_width=24),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.fields[rate]}"),
            bars.TextColumn("{task.fields[left]}", style="progress.remaining"),
            bars.TextColumn("{task.fields[workers]}"),
            console=console,
        )
        self.task = self.bar.add_task("", total=None, rate="", left="", workers="")
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
            left="" if picture.seconds_left is None else _clock(picture.seconds_left),
            workers=workers,
        )
        rows = [Text(line, no_wrap=True, overflow="crop") for line in self._lines()]
        self.live.update(Group(self.bar, *rows))

    def _lines(self) -> list[str]:
        """As many curves as leave the terminal some lines for what was there before."""
        most = min(MOST_CURVES, max(1, self.console.height // 2 - 4))
        return self.picture.lines(most, plain=not shows_blocks(self.stream))


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


def _emit(event: str, **values: object) -> None:
    write_line(json.dumps({"event": event, **values}), sys.stdout)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"

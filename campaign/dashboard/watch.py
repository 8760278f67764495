"""All campaigns under a root, looked at again and again by one thread."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from campaign.analysis.order import Order
from campaign.dashboard import progress
from campaign.dashboard.rows import FolderRows, Signature, Snapshot
from campaign.dashboard.setups import SetupCurves
from campaign.dashboard.together import Together
from campaign.dashboard.view import View, blank
from campaign.engines.stores.reader import JOURNAL, TRIALS
from campaign.errors import CampaignError
from campaign.runner.history import spec_of
from campaign.runner.precision import precision_of
from campaign.runner.report import order_of
from campaign.spec.campaign import CampaignSpec

LOOK_SECONDS = 1.0
REST = 3.0
"""Rest between two readings of a folder, as a multiple of what the last one took."""
MOST_ROWS = 3_000_000
"""Rows of all campaigns that are held in memory; those looked at longest ago go first."""
RESOLVED = "spec.resolved.json"


class WatchedCampaign:
    """One results folder and its latest view.

    Args:
        folder: The folder.
        name: What it is called among the others: its path below the root.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.view: View | None = None
        self.overview = {**blank(folder, "loading"), "id": name}
        self.asked_at = 0.0
        self._rows = FolderRows(folder)
        self._seen: tuple[Signature, float] | None = None
        self._due = 0.0
        self._spec: CampaignSpec | None = None
        self._curves = SetupCurves("bounded", None)
        self._together = Together("bounded")
        self._entries: dict[str, dict[str, Any]] = {}
        self._grids: progress.Grids = {}
        self._order = Order()
        self._counts: dict[str, int] = {}

    def ask(self) -> View | None:
        """The latest view, None while there is none; keeps it in memory for a while."""
        self.asked_at = time.monotonic()
        return self.view

    def look(self) -> None:
        """Read what is new; a folder that cannot be read says so in its overview."""
        if time.monotonic() < self._due:
            return
        begun = time.monotonic()
        try:
            self._read()
        except (CampaignError, OSError, ValueError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.overview = {**blank(self.folder, "unreadable", first), "id": self.name}
            self.view, self._seen = None, None
        self._due = time.monotonic() + REST * (time.monotonic() - begun)

    def rest(self) -> None:
        """Give back the rows; the overview stays."""
        self.view = None
        self._rows.forget()

    def whole_row(self, trial_id: str, view: View) -> dict[str, object]:
        """Every column of one trial."""
        return self._rows.whole_row(trial_id, view.snapshot)

    @property
    def held(self) -> int:
        """Rows in memory."""
        return 0 if self.view is None else len(self.view.snapshot.table)

    @property
    def wanted(self) -> bool:
        """Whether its rows are to be at hand: never read yet, just asked for, or being written."""
        asked = time.monotonic() - self.asked_at < 60
        return self._seen is None or (asked and self.asked_at > 0)

    def _read(self) -> None:
        seen = (self._rows.signature(), _time_of(self.folder / RESOLVED))
        held = self.view.snapshot if self.view is not None else None
        if seen == self._seen and (held is not None or not self.wanted):
            if held is not None:
                self._show(held, self._counts)
            return
        if self._seen is None or seen[1] != self._seen[1]:
            self._understand()
        snapshot = self._rows.read()
        self._show(snapshot, None)
        self._seen = seen

    def _understand(self) -> None:
        """Take the spec; without one, or with one not understood, rows are shown all the same."""
        try:
            self._spec = spec_of(self.folder)
        except CampaignError:
            self._spec = None
        precision = None if self._spec is None else precision_of(self._spec)
        interval = "bounded" if self._spec is None else self._spec.output.interval
        self._curves, self._entries = SetupCurves(interval, precision), {}
        self._together = Together(interval)
        self._grids = progress.grid_of(self._spec)
        self._order = Order() if self._spec is None else order_of(self.folder)

    def _show(self, snapshot: Snapshot, counts: dict[str, int] | None) -> None:
        """Make the view; `counts` are those of before, where the rows are the same."""
        now, table = time.time(), snapshot.table
        curves = self._curves.of(snapshot)
        entries = progress.setup_entries(snapshot, curves, self._grids, self._entries)
        self._entries = {entry["id"]: entry for entry in entries if entry["id"]}
        counts = counts or progress.totals(self.folder, self._spec, entries)
        self._counts = counts
        newest = max((curve.newest for curve in curves), default=0.0)
        standing = progress.standing(self.folder, newest, counts)
        left = progress.left_of(counts, standing["live"])
        running = standing["state"] == "running"
        overview = {
            **blank(self.folder, "loading"),
            "id": self.name,
            "name": self.folder.name if self._spec is None else self._spec.name,
            **counts,
            **standing,
            "rows": len(table),
            "pace": progress.pace(table, left, running=running, now=now),
            "newest": newest or None,
            "read": now,
        }
        setups = [grid.setup for grid in self._grids.values()]
        planned = tuple((setup.method, setup.t) for setup in setups)
        run_code = frozenset(s.model_name for s in setups if s.model.runs_code is not None)
        details = {
            "description": "" if self._spec is None else self._spec.description,
            "setups": entries,
            "workers": progress.workers(table, now),
            "failures": progress.failed_trials(table),
            "warnings": list(snapshot.warnings),
        }
        self.view = View(
            self.folder,
            overview,
            details,
            self._together.of(snapshot, curves),
            snapshot,
            self._order,
            self._curves.level,
            planned,
            run_code,
        )
        self.overview = overview


class Watch:
    """Every results folder under a root, kept up to date by a thread of its own.

    Args:
        root: A results folder, or a folder with results folders below it, two levels deep.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.campaigns: dict[str, WatchedCampaign] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)

    def start(self) -> None:
        """Find the folders and begin to look at them."""
        self._find()
        self._thread.start()

    def stop(self) -> None:
        """End the thread after what it is at."""
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._find()
            latest = sorted(self.campaigns.values(), key=lambda c: -c.asked_at)
            for campaign in latest:
                if self._stopping.is_set():
                    return
                campaign.look()
            room = MOST_ROWS
            for campaign in latest:
                room -= campaign.held
                if room < 0 and not campaign.wanted:
                    campaign.rest()
            self._stopping.wait(LOOK_SECONDS)

    def _find(self) -> None:
        found = {_name(path, self.root): path for path in _folders(self.root)}
        held = {name: c for name, c in self.campaigns.items() if name in found}
        fresh = {name: WatchedCampaign(found[name], name) for name in found if name not in held}
        if fresh or len(held) < len(self.campaigns):
            self.campaigns = {name: (held | fresh)[name] for name in sorted(found)}


def _name(path: Path, root: Path) -> str:
    return path.name if path == root else path.relative_to(root).as_posix()


def _folders(root: Path) -> list[Path]:
    if _is_results(root):
        return [root]
    near = [path for path in sorted(root.glob("*")) if path.is_dir()]
    found = []
    for path in near:
        if _is_results(path):
            found.append(path)
        else:
            found += [p for p in sorted(path.glob("*")) if p.is_dir() and _is_results(p)]
    return found


def _is_results(path: Path) -> bool:
    return any((path / name).exists() for name in (RESOLVED, JOURNAL, TRIALS))


def _time_of(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0

"""How far a campaign is, how fast, and what went wrong: plain data for the page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from campaign.analysis.labels import curve_key
from campaign.analysis.page.outcomes import failures
from campaign.dashboard.rows import Snapshot
from campaign.dashboard.setups import SetupCurve
from campaign.runner.history import status_of
from campaign.runner.live import heartbeat
from campaign.runner.place import is_written
from campaign.spec.campaign import CampaignSpec
from campaign.spec.expand import SetupGrid, expand

Grids: TypeAlias = dict[tuple[str | int, ...], SetupGrid]
WINDOW_SECONDS = 120.0
"""Over which the rate is taken."""
LEAST_TRIALS = 10
"""So many trials at least, however old."""
SILENT_SECONDS = 120.0
"""A driver that holds the folder and gives neither row nor sign of life for so long has stalled."""


def grid_of(spec: CampaignSpec | None) -> Grids:
    """The setups that the spec asks for, by `Setup.key`."""
    return {} if spec is None else {grid.setup.key: grid for grid in expand(spec)}


def key_of(curve: SetupCurve) -> tuple[str | int, ...]:
    """The `Setup.key` of what rows say."""
    keys = curve.keys
    t = "" if keys["t"] is None else repr(float(keys["t"]))
    seed = "" if keys["train_seed"] is None else int(keys["train_seed"])
    named = (keys["model"], keys["dtype"], keys["method"], t, keys["nonfinite"])
    return (*named, keys["fault"], keys["targets"], seed)


def setup_entries(
    snapshot: Snapshot,
    curves: Sequence[SetupCurve],
    grids: Grids,
    held: Mapping[str, dict[str, Any]],
) -> list[dict[str, Any]]:
    """One entry for each setup, those of the spec first and in its order.

    Args:
        snapshot: The rows.
        curves: Its setups.
        grids: What the spec asks for.
        held: Entries of before by setup id; one whose rows are the same is taken as it is.

    Returns:
        ``id`` (None where nothing was run), ``label``, ``total``, ``ok`` and ``failed`` of those
        asked for, ``others`` (rows that the spec does not ask for), ``mark``.
    """
    by_key: dict[tuple[str | int, ...], list[SetupCurve]] = {}
    for curve in curves:
        by_key.setdefault(key_of(curve), []).append(curve)
    entries = []
    for key in [*grids, *(key for key in by_key if key not in grids)]:
        grid = grids.get(key)
        entries += [_entry(snapshot, curve, grid, held) for curve in by_key.get(key, [])]
        if key not in by_key and grid is not None:
            entries.append(_blank(grid))
    return entries


def _blank(grid: SetupGrid) -> dict[str, Any]:
    counts = {"total": grid.n_trials, "ok": 0, "failed": 0, "others": 0}
    return {"id": None, "label": grid.setup.label, **counts, "newest": None, "mark": None}


def _entry(
    snapshot: Snapshot,
    curve: SetupCurve,
    grid: SetupGrid | None,
    held: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    before = held.get(curve.setup_id)
    if before is not None and (before["mark"], before["asked"]) == (curve.mark, grid is not None):
        return before
    rows = snapshot.setup(curve.setup_id)
    good = pc.equal(rows["status"], pa.scalar("ok")).to_numpy(zero_copy_only=False)
    asked = _asked(rows, grid)
    return {
        "id": curve.setup_id,
        "label": curve_key(curve.keys) if grid is None else grid.setup.label,
        "total": int(asked.sum()) if grid is None else grid.n_trials,
        "ok": int((good & asked).sum()),
        "failed": int((~good & asked).sum()),
        "others": int((~asked).sum()),
        "newest": curve.newest,
        "mark": curve.mark,
        "asked": grid is not None,
    }


def _asked(rows: pa.Table, grid: SetupGrid | None) -> npt.NDArray[np.bool_]:
    """Which rows the spec asks for; all of them where nothing is known of it."""
    if grid is None:
        return np.ones(len(rows), dtype=bool)
    bers, seeds = rows["ber"].to_numpy(), rows["seed"].to_numpy()
    asked = np.zeros(len(rows), dtype=bool)
    for cell in grid.cells:
        here = np.flatnonzero(bers == cell.ber)
        asked[here] = np.isin(seeds[here], np.asarray(cell.seeds))
    return asked


def totals(
    folder: Path, spec: CampaignSpec | None, entries: list[dict[str, Any]]
) -> dict[str, int]:
    """Trials asked for, done and failed; with ``precision`` as its decisions stand now."""
    if spec is not None and spec.precision is not None:
        status = status_of(folder)
        planned = {setup.label: setup for setup in status.setups}
        for entry in entries:
            if (setup := planned.get(entry["label"])) is not None:
                entry.update(total=setup.total, ok=setup.ok, failed=setup.failed)
        return {"total": status.total, "ok": status.ok, "failed": status.failed}
    return {name: sum(entry[name] for entry in entries) for name in ("total", "ok", "failed")}


def left_of(counts: Mapping[str, int], live: Mapping[str, Any] | None) -> int:
    """Trials that the driver still has to try: what failed waits only where it says so itself.

    Args:
        counts: ``total``, ``ok`` and ``failed``.
        live: What the driver said last, with ``queued`` and ``in_flight`` once it has a queue.

    Example:
        >>> left_of({"total": 100, "ok": 60, "failed": 30}, {"queued": 8, "in_flight": 1})
        10
        >>> left_of({"total": 100, "ok": 60, "failed": 30}, {"queued": 38, "in_flight": 2})
        40
    """
    least, most = counts["total"] - counts["ok"] - counts["failed"], counts["total"] - counts["ok"]
    waiting = 0 if live is None else int(live.get("queued", 0)) + int(live.get("in_flight", 0))
    return min(max(least, waiting), most)


def pace(table: pa.Table, left: int, *, running: bool, now: float) -> dict[str, float | None]:
    """``trials`` and ``images`` a second of late, and the ``eta`` in seconds; null when idle."""
    blank: dict[str, float | None] = {"trials": None, "images": None, "eta": None}
    if not running or not len(table):
        return blank
    ended = table["finished_at"].to_numpy()
    late = np.flatnonzero(ended > now - WINDOW_SECONDS)
    if len(late) < LEAST_TRIALS:
        late = np.argsort(ended)[-LEAST_TRIALS:]
    span = now - float(ended[late].min())
    if span <= 0 or len(late) < 2:
        return blank
    images = table["n_samples"].to_numpy()[late]
    trials = len(late) / span
    return {
        "trials": trials,
        "images": float(np.nansum(images.astype(float))) / span,
        "eta": left / trials,
    }


def workers(table: pa.Table, now: float) -> list[dict[str, Any]]:
    """Machines and devices that gave rows, the latest first."""
    if not len(table):
        return []
    grouped = table.select(["host", "device", "seconds", "finished_at"])
    grouped = grouped.group_by(["host", "device"]).aggregate(
        [("seconds", "mean"), ("seconds", "count"), ("finished_at", "max")]
    )
    found = [
        {
            "host": row["host"],
            "device": row["device"],
            "trials": row["seconds_count"],
            "seconds": row["seconds_mean"],
            "ago": max(0.0, now - row["finished_at_max"]),
        }
        for row in grouped.to_pylist()
    ]
    return sorted(found, key=lambda row: float(row["ago"]))


def failed_trials(table: pa.Table) -> list[dict[str, Any]]:
    """Why trials have no result, the most frequent reason first."""
    lost = table.filter(pc.not_equal(table["status"], pa.scalar("ok")))
    columns = ["status", "error_type", "error", "trial_id"]
    frame = lost.select(columns).to_pandas()
    return [{str(k): v for k, v in row.items()} for row in failures(frame).to_dict("records")]


def standing(folder: Path, newest: float, counts: Mapping[str, int]) -> dict[str, Any]:
    """Whether a driver is at work, and what it says of its workers.

    Returns:
        ``state``: running, stalled, complete, failed, stopped or empty; ``live``: the driver's
        counts of workers and trials, null where none is at work; ``silent``: seconds since its
        last sign of life.
    """
    live, now = heartbeat(folder), time.time()
    last = max(newest, float(live["time"]) if live else 0.0)
    fresh = live is not None and now - float(live["time"]) < SILENT_SECONDS
    done = counts["ok"] + counts["failed"] >= counts["total"] > 0
    if is_written(folder) or (fresh and live is not None and not live["ended"]):
        state = "stalled" if last and now - last > SILENT_SECONDS else "running"
    elif newest == 0.0:
        state = "empty"
    else:
        state = ("failed" if counts["failed"] else "complete") if done else "stopped"
    at_work = state in ("running", "stalled")
    return {"state": state, "live": live if at_work else None, "silent": now - last}

"""Check what the quickstart left: every trial once, right counts, tables, figures, MLflow."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

import pandas as pd


def main(folder: Path, first: Path, second: Path, events: Path) -> None:
    """Raise SystemExit with a line for the first thing that is not as it should be."""
    rows = pd.read_csv(first)
    done = json.loads(events.read_text().splitlines()[-1])
    curve = ["model", "dtype", "method", "t", "ber"]
    clean = rows[rows.ber == 0]
    raw = rows[(rows.dtype == "fp32") & (rows.method == "none")].groupby("ber").n_correct.mean()
    checks = {
        "the second run did no trial": done["ran"] == 0 and done["exit_code"] == 0,
        "every trial is there": len(rows) == done["total"] == done["ok"],
        "no trial twice": rows.trial_id.is_unique,
        "all trials are ok": (rows.status == "ok").all(),
        "both exports are the same": first.read_bytes() == second.read_bytes(),
        "20 seeds a point": (rows[rows.ber > 0].groupby(curve, dropna=False).size() == 20).all(),
        "one fault-free trial a setup": len(clean) == rows.setup_id.nunique() == 15,
        "nothing flips at BER 0": (clean.flipped_bits == 0).all(),
        "the network has learnt": (clean.n_correct / clean.n_samples).min() > 0.95,
        "unprotected float32 breaks down": raw.iloc[-1] < 0.5 * raw.iloc[0],
        "flips are as many as expected": _flips_agree(rows),
        "tables": all(list((folder / "tables").glob(f"*.{s}")) for s in ("csv", "md", "tex")),
        "figures": all(list((folder / "figures").glob(f"*.{s}")) for s in ("png", "svg")),
        "one MLflow run a curve, and a parent": _mlflow_runs(folder) == 16,
    }
    for claim, holds in checks.items():
        print(f"{'ok  ' if holds else 'FAIL'} {claim}")
    if not all(checks.values()):
        raise SystemExit(1)
    print(f"{len(checks)} passed, 0 failed")


def _flips_agree(rows: pd.DataFrame) -> bool:
    """All flips of each number format against the binomial, at 6 sigma."""
    part = rows[rows.method == "none"]
    expected = (part.ber * part.exposed_bits).groupby(part.dtype).sum()
    spread = (part.ber * (1 - part.ber) * part.exposed_bits).groupby(part.dtype).sum() ** 0.5
    return bool(((part.groupby("dtype").flipped_bits.sum() - expected).abs() < 6 * spread).all())


def _mlflow_runs(folder: Path) -> int:
    with sqlite3.connect(folder.parent / "mlflow.db") as base:
        # A curve told while it grew is replaced at the end; MLflow keeps the old run in its bin.
        active = "select count(*) from runs where lifecycle_stage = 'active'"
        return int(base.execute(active).fetchone()[0])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

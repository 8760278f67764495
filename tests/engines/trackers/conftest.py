"""A fresh tracking database for each test (its tables are made once), and frames of curves."""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from campaign.engines.trackers.base import CampaignInfo, Input
from campaign.engines.trackers.client import connect
from campaign.engines.trackers.place import TrackingStore, tracking_store

BERS = (0.0, 1e-5, 1e-4, 1e-3)
TABLES = (
    *("experiments", "runs", "params", "tags", "metrics", "latest_metrics"),
    *("datasets", "inputs", "input_tags"),
)


@dataclass(frozen=True)
class Database:
    """MLflow's database read without MLflow: the oracle."""

    path: Path

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query, values).fetchall()

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        return {table: sorted(self.rows(f"SELECT * FROM {table}"), key=repr) for table in TABLES}

    def runs(self) -> dict[str, str]:
        """Names of active runs by id."""
        return dict(self.rows("SELECT run_uuid, name FROM runs WHERE lifecycle_stage = 'active'"))

    def run(self, name: str) -> str:
        """The id of the one active run called `name`."""
        (run_id,) = [key for key, held in self.runs().items() if held == name]
        return run_id

    def status(self, name: str) -> str:
        ((status,),) = self.rows("SELECT status FROM runs WHERE run_uuid = ?", self.run(name))
        return str(status)

    def tags(self, name: str) -> dict[str, str]:
        return dict(self.rows("SELECT key, value FROM tags WHERE run_uuid = ?", self.run(name)))

    def params(self, name: str) -> dict[str, str]:
        return dict(self.rows("SELECT key, value FROM params WHERE run_uuid = ?", self.run(name)))

    def history(self, name: str, metric: str) -> list[tuple[int, float]]:
        """Step and value of all that was ever logged, oldest first."""
        return self.rows(
            "SELECT step, value FROM metrics WHERE run_uuid = ? AND key = ? "
            "ORDER BY timestamp, step",
            self.run(name),
            metric,
        )

    def newest(self, name: str, metric: str) -> dict[int, float]:
        return dict(self.history(name, metric))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables; making them takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> TrackingStore:
    shutil.copyfile(empty_database, tmp_path / "mlflow.db")
    return tracking_store(tmp_path, environ={})


@pytest.fixture
def database(store: TrackingStore, tmp_path: Path) -> Database:
    return Database(tmp_path / "mlflow.db")


@pytest.fixture
def info(tmp_path: Path) -> CampaignInfo:
    folder = tmp_path / "demo"
    (folder / "tables").mkdir(parents=True)
    (folder / "spec.yaml").write_text("name: demo\n")
    (folder / "tables" / "summary.csv").write_text("a,b\n")
    return CampaignInfo(
        "demo",
        "folder-1",
        folder,
        BERS,
        {"grid": {"ber": list(BERS), "seeds": range(50)}, "dataset": "digits", "notes": None},
        spec_sha="5ha",
        code_version="0.1.0+gabc",
        description="What bits cost.",
        started=1_700_000_000.0,
        attachments=(folder / "spec.yaml",),
        inputs=(Input("dataset", "digits", "d" * 64), Input("checkpoint", "resnet20", "c" * 64)),
    )


@pytest.fixture
def curves() -> Callable[..., pd.DataFrame]:
    """Makes a frame as campaign.analysis.curves does, of `methods` with `trials` a point."""

    def make(
        trials: int = 4,
        methods: tuple[tuple[str, float], ...] = (("none", math.nan), ("weight_scaling", 2.0)),
        bers: tuple[float, ...] = BERS,
        **columns: object,
    ) -> pd.DataFrame:
        rows = [
            {
                "model": "resnet20",
                "dataset": "cifar10",
                "dtype": "fp32",
                "method": method,
                "t": t,
                "nonfinite": "propagate",
                "fault": "bit_flip",
                "targets": "weights",
                "ber": ber,
                "n_trials": trials if ber else 1,
                "n_failed": 0,
                "top1_mean": round(0.9 - 100 * ber + trials / 1000, 6),
                "top1_low": 0.1,
                "top1_high": 0.95,
                "top1_sd": 0.01,
                "top5_mean": 0.99,
                "flipped_bits_mean": 1e6 * ber,
                "sdc_rate": min(1.0, 100 * ber),
                "nonfinite_rate": 0.0,
                **columns,
            }
            for method, t in methods
            for ber in bers
        ]
        return pd.DataFrame(rows)

    return make

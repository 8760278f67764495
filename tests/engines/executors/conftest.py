"""Trials whose rows are known in advance, and which misbehave where a script says so."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.records import COLUMNS, Failure, TrialRecord
from campaign.spec.grid import Point, Setup, SetupPoints, Targets

ASSET = np.arange(1000, dtype=np.int64)


def make_setup(name: str) -> Setup:
    nothing: Any = None  # executors read neither the model nor the dataset
    return Setup(
        setup_id=name,
        campaign="test",
        model_name="model",
        model=nothing,
        dataset_name="dataset",
        dataset=nothing,
        dtype=FORMATS.make("fp32"),
        stack=(),
        t=None,
        nonfinite="propagate",
        fault_name="bit_flip",
        fault=FAULTS.make("bit_flip"),
        targets=Targets(),
    )


def make_task(name: str, count: int) -> SetupPoints:
    points = tuple(Point(f"{name}-{seed}", 1e-3, seed) for seed in range(count))
    return SetupPoints(make_setup(name), points)


def make_record(setup: Setup, point: Point, **measured: Any) -> TrialRecord:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"trial_id": point.trial_id, "setup_id": setup.setup_id, "status": "ok"}
    row |= {"ber": point.ber, "seed": point.seed, "seconds": 0.0, "attempt": 1, "host": "test"}
    return TrialRecord(**{**row, **measured})


def expected_correct(trial_id: str) -> int:
    digest = hashlib.sha256(trial_id.encode()).digest()
    return int.from_bytes(digest[:4], "big") + int(ASSET.sum())


class OddError(Exception):
    """Cannot be unpickled, for its message is not its arguments."""

    def __init__(self, trial_id: str, reason: str) -> None:
        super().__init__(f"{trial_id} {reason}")


@dataclass(frozen=True)
class ScriptedWork:
    """`script` maps a trial id to a misdeed: see `act`."""

    folder: Path
    script: Mapping[str, str] = field(default_factory=dict)
    trial_seconds: float = 0.0
    prepare_seconds: float = 0.0
    open_error: str = ""
    reads_training: bool = False
    hands_on: bool = False

    def open(self, assets: Callable[[str], object]) -> ScriptedWorker:
        if self.open_error == "once" and not self._first("open"):
            self._die()
        if self.open_error == "freeze" and self._first("open"):
            time.sleep(3)  # long enough for the driver to see that it lives
            os.kill(os.getpid(), signal.SIGSTOP)
        if self.open_error not in ("", "once", "freeze"):
            raise ValueError(self.open_error)
        return ScriptedWorker(self, assets)

    def failed(self, setup: Setup, point: Point, failure: Failure) -> TrialRecord:
        return make_record(
            setup,
            point,
            status=failure.status,
            error_type=failure.error_type,
            error=failure.error,
            attempt=failure.attempt,
        )

    def act(self, trial_id: str) -> None:
        action = self.script.get(trial_id, "")
        if action == "kill" or (action == "kill-once" and self._first(trial_id)):
            self._die()
        if action == "exit-once" and self._first(trial_id):
            os._exit(17)
        if action == "mark":
            self._first("mark")
        while action == "await-mark" and not (self.folder / "mark").exists():
            time.sleep(0.05)
        if action == "raise":
            raise ValueError(f"{trial_id} is broken")
        if action == "raise-odd":
            raise OddError(trial_id, "cannot travel")
        if action == "hang-once" and self._first(trial_id):
            time.sleep(600)
        if action == "freeze-once" and self._first(trial_id):
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(self.trial_seconds)

    def _first(self, mark: str) -> bool:
        try:
            (self.folder / mark).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class ScriptedWorker:
    def __init__(self, work: ScriptedWork, assets: Callable[[str], object]) -> None:
        self.work, self.assets = work, assets
        self.setup_id, self.handed = "", False

    def share(self, setup_id: str) -> object | None:
        self.work.act("share")
        return f"all of {setup_id}" if self.work.hands_on and self.setup_id == setup_id else None

    def _handed(self, setup: Setup) -> bool:
        try:
            return self.assets(setup.answers_asset) == f"all of {setup.setup_id}"
        except LookupError:
            return False

    def trials(self, setup: Setup, points: Sequence[Point], attempt: int) -> Iterator[TrialRecord]:
        for point in points:
            begun = time.perf_counter()
            if self.setup_id != setup.setup_id:
                self.handed = self._handed(setup)
                time.sleep(0 if self.handed else self.work.prepare_seconds)
                self.setup_id = setup.setup_id
            self.work.act(point.trial_id)
            asset = self.assets("numbers")
            assert isinstance(asset, np.ndarray)
            digest = hashlib.sha256(point.trial_id.encode()).digest()
            trained = setup.training if self.work.reads_training else None
            yield make_record(
                setup,
                point,
                n_correct=int.from_bytes(digest[:4], "big") + int(asset.sum()),
                seconds=time.perf_counter() - begun,
                attempt=attempt,
                host=str(os.getpid()),
                device=None if trained is None else self.assets(trained.asset),
                dataset="handed on" if self.handed else "own",
                compute=f"threads={os.environ.get('OMP_NUM_THREADS')}",
            )


@dataclass(frozen=True)
class Kit:
    """What tests need, because test folders are no packages to import from."""

    make_task: Callable[[str, int], SetupPoints]
    make_record: Callable[..., TrialRecord]
    expected_correct: Callable[[str], int]
    work: Callable[..., ScriptedWork]
    assets: Mapping[str, object]


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    def work(**options: Any) -> ScriptedWork:
        return ScriptedWork(tmp_path, **options)

    return Kit(make_task, make_record, expected_correct, work, {"numbers": ASSET})


@pytest.fixture(scope="session")
def teach_workers() -> Callable[[], None]:
    """Lets workers unpickle the classes of this file, which they cannot import.

    To be called after the cluster is there: Ray reads its settings when it is imported.
    """

    def teach() -> None:
        import ray.cloudpickle

        ray.cloudpickle.register_pickle_by_value(sys.modules[ScriptedWork.__module__])

    return teach

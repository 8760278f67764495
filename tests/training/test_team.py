"""Two processes train what one does, to within rounding, and the same to the bit each time."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest

from campaign.training import FitJob
from campaign.training.checkpoint import load, load_running, running_path
from campaign.training.job import Trained
from campaign.training.loop import fit
from campaign.training.team import Team
from tests.training.conftest import equal
from tests.training.team import STACKS, case

ROOT = Path(__file__).parents[2]


def together(folder: Path, name: str, size: int = 2) -> list[tuple[int, str]]:
    """Exit codes and error texts of a team that trains a case."""
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / f"store-{uuid.uuid4().hex}"
    command = [sys.executable, "-m", "tests.training.team"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    members = [
        subprocess.Popen(
            [*command, str(rank), str(size), str(store), str(folder), name],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        texts = [member.communicate(timeout=240)[1] for member in members]
        return [(member.returncode, text) for member, text in zip(members, texts, strict=True)]
    finally:
        for member in members:
            member.kill()


def trained(folder: Path, name: str, size: int = 2) -> tuple[FitJob, Trained]:
    found = together(folder, name, size)
    assert [code for code, _ in found] == [0] * size, found
    job = case(name, size)[0]
    return job, load(folder, job)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny_resnet8", *STACKS])
def test_two_workers_train_what_one_does(tmp_path: Path, name: str) -> None:
    (lone, materials), (job, found) = case(name, 1), trained(tmp_path / "two", name)
    assert job.digest != lone.digest
    fit(lone, tmp_path / "one", materials=materials)
    expected = load(tmp_path / "one", lone)
    assert set(found.state) == set(expected.state)
    for tensor, value in expected.state.items():
        np.testing.assert_allclose(found.state[tensor], value, rtol=1e-3, atol=2e-5, err_msg=tensor)
    for one, two in zip(expected.metrics, found.metrics, strict=True):
        assert two.loss == pytest.approx(one.loss, rel=1e-4)
        assert two.validation_loss == pytest.approx(one.validation_loss, rel=1e-3)
        assert two.validation_accuracy == one.validation_accuracy
        assert two.extra == pytest.approx(dict(one.extra), rel=1e-3)


@pytest.mark.slow
def test_a_broken_team_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    job, whole = trained(tmp_path / "whole", "retrained")
    folder = tmp_path / "broken"
    job = case("retrained", 2)[0]
    codes = together_until_broken(folder)
    assert codes != [0, 0]
    held = load_running(folder, job)
    assert held is not None
    assert len(held.metrics) == 1
    _, found = trained(folder, "retrained")
    assert equal(found.state, whole.state)
    assert not running_path(folder, job).exists()


def together_until_broken(folder: Path) -> list[int]:
    return [code for code, _ in together(folder, "retrained-broken")]


def test_batches_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3 workers cannot share batches of 64 images"):
        Team(0, 3).share(64)
    shares = [Team(rank, 4).share(8) for rank in range(4)]
    assert [i for share in shares for i in range(8)[share]] == list(range(8))

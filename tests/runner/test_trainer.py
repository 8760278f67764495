"""A training that is told to stop ends with its epoch, or in it where that takes too long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from campaign.engines.executors.fits import FitOutcome
from campaign.methods import METHODS
from campaign.runner.checkpoints import Checkpoints
from campaign.runner.trainer import TrainingWork
from campaign.sources import DATASETS, MODELS
from campaign.training import FitJob, Recipe
from campaign.training.job import Trained


class Stop:
    """Is told epochs, and says to stop from the `first` question on."""

    def __init__(self, first: int) -> None:
        self.first, self.asked, self.epochs = first, 0, list[Any]()

    def stopping(self) -> bool:
        self.asked += 1
        return self.asked >= self.first


def work(folder: Path, grace_seconds: float) -> TrainingWork:
    data = DATASETS.make("digits", {"split": "train"})
    recipe = Recipe(epochs=2, batch_size=100, validation_images=100)
    methods = (METHODS.make("retrained"),)
    job = FitJob(MODELS.make("digits_cnn"), data, recipe, methods, None, 0, "0" * 64)
    return TrainingWork(job, Checkpoints(folder), 1, use_gpu=False, grace_seconds=grace_seconds)


@pytest.mark.parametrize(("grace", "epochs"), [(0.0, 1), (3600.0, 2)])
def test_an_epoch_has_a_grace_to_end(tmp_path: Path, grace: float, epochs: int) -> None:
    whole = Stop(10**6)
    unbroken = work(tmp_path / "unbroken", 0.0).run(whole.epochs.append, whole.stopping)
    assert len(whole.epochs) == 2
    first = whole.asked // 2 + 3  # in the second epoch
    stop = Stop(first)
    assert work(tmp_path / "broken", grace).run(stop.epochs.append, stop.stopping) == FitOutcome()
    assert len(stop.epochs) == epochs
    assert stop.asked == (first if grace == 0 else whole.asked)
    later = Stop(10**6)
    ended = work(tmp_path / "broken", 0.0).run(later.epochs.append, later.stopping)
    assert len(later.epochs) == 2 - epochs
    assert isinstance(ended.value, Trained)
    assert isinstance(unbroken.value, Trained)
    assert set(ended.value.state) == set(unbroken.value.state)
    for name, value in unbroken.value.state.items():
        assert value.tobytes() == ended.value.state[name].tobytes()

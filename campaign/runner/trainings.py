"""The trainings that trials wait for: which there are, what they say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from campaign.engines.trackers.base import TrainingCurve
from campaign.spec.grid import Setup
from campaign.spec.trained import job_of

if TYPE_CHECKING:
    from campaign.training.job import EpochMetrics, FitJob


@dataclass(frozen=True)
class Training:
    """A training of a campaign, with the setups that share it.

    Args:
        job: What it does.
        label: What messages call it.
        recipe_name: Name of its recipe, empty where the spec gives it in place.
        setups: Who needs it.
    """

    job: FitJob
    label: str
    recipe_name: str
    setups: tuple[Setup, ...]

    @property
    def key(self) -> str:
        """Under which key workers find its weights."""
        held = self.setups[0].training
        assert held is not None
        return held.asset


def trainings_of(setups: Iterable[Setup]) -> list[Training]:
    """Every training once, in the order of the setups, which must have their digests."""
    shared: dict[str, list[Setup]] = {}
    for setup in setups:
        if setup.training is not None:
            shared.setdefault(setup.training.digest, []).append(setup)
    return [_training(tuple(held)) for held in shared.values()]


def _training(setups: tuple[Setup, ...]) -> Training:
    job, held = job_of(setups[0]), setups[0].training
    assert held is not None
    return Training(job, training_label(setups[0]), held.recipe_name, setups)


def training_label(setup: Setup) -> str:
    """Such as ``digits_cnn · trained_saf · train_seed=0``, with the number format if it counts."""
    trained = [method for method in setup.stack if method.fits]
    parts = [setup.model_name, "+".join(method.label for method in trained)]
    parts += [setup.dtype.label] if any(method.fits_format for method in trained) else []
    return " · ".join([*parts, f"train_seed={setup.train_seed}"])


def training_curve(training: Training, metrics: Sequence[EpochMetrics]) -> TrainingCurve:
    """The epochs of a training as a tracker takes them."""
    values: dict[tuple[str, int], float] = {}
    for held in metrics:
        told = {**held._asdict(), **held.extra}
        told.pop("extra")
        step = told.pop("epoch")
        values |= {(name, step): float(v) for name, v in told.items() if v is not None}
    job, setup = training.job, training.setups[0]
    params = {
        "model": setup.model_name,
        "method": "+".join(method.label for method in job.methods),
        "recipe": training.recipe_name,
        "train_seed": str(job.seed),
        "epochs": str(job.recipe.epochs),
        "dtype": "" if job.fmt is None else job.fmt.label,
    }
    return TrainingCurve(job.digest, training.label, params, values)

"""The training of a setup: what it is, its digest, and the job that it stands for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from campaign.sources import DatasetSource
from campaign.training.job import FitJob, fit_digest, trained_part
from campaign.training.recipe import Recipe

if TYPE_CHECKING:
    from campaign.spec.grid import Setup


@dataclass(frozen=True)
class Training:
    """How the network of a setup is trained before it is stored.

    Args:
        recipe_name: Name of the recipe, empty where the spec gives it in place.
        recipe: The recipe.
        dataset_name: The dataset that is trained on.
        dataset: Where it comes from.
        seed: Of the training.
        digest: sha256 (hex) of all that decides the trained weights; empty until digests are known.
        workers: Processes that share each batch.
        identity: The digest but for how pixels are prepared, which a setup has in its own identity.
    """

    recipe_name: str
    recipe: Recipe
    dataset_name: str
    dataset: DatasetSource
    seed: int
    digest: str = ""
    workers: int = 1
    identity: str = ""

    @property
    def asset(self) -> str:
        """Under which key workers find the trained weights."""
        return f"trained:{self.digest}"


def with_digest(setup: Setup, *, model: str, dataset: str) -> Setup:
    """The setup with the digest of its training, from those of its checkpoint and the images."""
    if setup.training is None:
        return setup
    digest = partial(
        fit_digest,
        model=model,
        dataset=dataset,
        recipe=setup.training.recipe,
        methods=trained_part(setup.stack),
        fmt=setup.dtype,
        seed=setup.training.seed,
        workers=setup.training.workers,
    )
    whole = digest(preprocess=setup.model.preprocess)
    return replace(setup, training=replace(setup.training, digest=whole, identity=digest()))


def job_of(setup: Setup) -> FitJob:
    """The training of a setup, which others may share.

    Raises:
        ValueError: If there is none, or its digest is not known yet.
    """
    held, methods = setup.training, trained_part(setup.stack)
    if held is None or not held.digest:
        raise ValueError(f"{setup.label}: it has no training, or its digest is not known yet")
    fmt = setup.dtype if any(method.fits_format for method in methods) else None
    return FitJob(
        setup.model,
        held.dataset,
        held.recipe,
        methods,
        fmt,
        held.seed,
        held.digest,
        held.workers,
    )

"""Which trainings a spec asks for, which of them are done, and what the others will cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from campaign.runner.assets import digests_of
from campaign.runner.checkpoints import Checkpoints, State, checkpoints_of
from campaign.runner.place import Place
from campaign.runner.plan import CPU_RATE, GPU_RATE
from campaign.runner.trainings import training_label
from campaign.spec.campaign import CampaignSpec
from campaign.spec.expand import expand
from campaign.spec.grid import Setup
from campaign.spec.identity import identify
from campaign.spec.trained import job_of
from campaign.training.job import trained_part


@dataclass(frozen=True)
class TrainingPlan:
    """One training as planned.

    Args:
        label: What messages call it.
        recipe: Name of its recipe, empty where the spec gives it in place.
        epochs: Of the recipe, at most.
        images: Images that pass through the network and back in all epochs together; None where
            the size of the dataset is not known.
        seconds: Of the whole training, None where nothing is known; a passage back counts as two
            forward, the rates are assumed.
        state: ``done`` if its checkpoint is there, ``begun`` if an epoch of it is.
        setups: How many setups wait for it.
        workers: Processes that share each batch.
    """

    label: str
    recipe: str
    epochs: int
    images: int | None
    seconds: float | None
    state: State
    setups: int
    workers: int = 1


def plan_trainings(spec: CampaignSpec, results: Place) -> tuple[TrainingPlan, ...]:
    """Every training of a spec once, in the order of its setups.

    Checkpoints and data are read, for their digests, only where trained networks are kept already.

    Raises:
        SpecError: If ``training.cache`` is a URL that cannot be one.
        SetupError: If these files are missing, or the URL cannot be read.
    """
    if spec.training is None:
        return ()
    grids, checkpoints = expand(spec), checkpoints_of(spec, results)
    if names := checkpoints.names():
        grids = identify(grids, digests_of(grids, lambda text: None))
    shared: dict[tuple[object, ...], list[Setup]] = {}
    for setup in (grid.setup for grid in grids):
        if setup.training is not None:
            shared.setdefault(_key(setup), []).append(setup)
    return tuple(_plan(spec, held, checkpoints, names) for held in shared.values())


def _key(setup: Setup) -> tuple[object, ...]:
    """What tells its training from others, before any digest is known."""
    held, methods = setup.training, trained_part(setup.stack)
    dtype = setup.dtype.label if any(method.fits_format for method in methods) else ""
    return (setup.model_name, methods, dtype, held and (held.recipe.digest, held.seed))


def _plan(
    spec: CampaignSpec, setups: Sequence[Setup], checkpoints: Checkpoints, names: frozenset[str]
) -> TrainingPlan:
    setup, held = setups[0], setups[0].training
    assert held is not None
    assert spec.training is not None
    recipe, size, macs = held.recipe, held.dataset.size(), setup.model.macs()
    images = None
    if size is not None:
        left = max(size - recipe.validation_images, 1)
        batch = min(recipe.batch_size, left)  # a smaller set is one batch
        images = recipe.epochs * (left // batch) * batch
    on_gpu = spec.training.gpus not in ("auto", 0)
    rate = held.workers * (GPU_RATE if on_gpu else CPU_RATE * spec.training.cpus)
    seconds = None if images is None or macs is None else 3 * macs * images / rate
    return TrainingPlan(
        training_label(setup),
        held.recipe_name,
        recipe.epochs,
        images,
        seconds,
        checkpoints.state(job_of(setup), names) if held.digest else "to do",
        len(setups),
        held.workers,
    )

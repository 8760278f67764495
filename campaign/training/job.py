"""One training: all that decides its result, and the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from campaign import SEMANTICS
from campaign.formats import NumberFormat
from campaign.methods import Method, State
from campaign.registry import changed_options
from campaign.sources import DatasetSource, Images, ModelSource, Preprocess
from campaign.sources.cache import combined_digest
from campaign.training.recipe import Recipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Status = Literal["finished", "stopped", "diverged"]
"""``stopped`` is early, as the recipe says; ``diverged`` keeps the last good epoch."""


@dataclass(frozen=True)
class FitJob:
    """A training.

    Args:
        model: The network it starts from.
        dataset: Labelled images to train on.
        recipe: How.
        methods: What is trained for: `trained_part` of a stack, in its order.
        fmt: The number format, None where no method `fits_format`.
        seed: Of order, augmentation, initialisation and all that methods draw.
        digest: sha256 (hex) of all that decides the result, by `fit_digest`.
        workers: Processes that share each batch; their sums are rounded otherwise than that of one.
    """

    model: ModelSource
    dataset: DatasetSource
    recipe: Recipe
    methods: tuple[Method, ...]
    fmt: NumberFormat | None
    seed: int
    digest: str
    workers: int = 1

    @property
    def name(self) -> str:
        """The name of its files, without an ending."""
        return self.digest[:32]


class Materials(NamedTuple):
    """What a training reads, where it is at hand already."""

    state: Mapping[str, NDArray[np.generic]]
    """What `ModelSource.state` gives."""
    images: Images
    """What `DatasetSource.images` gives for the network's preprocess."""


class EpochMetrics(NamedTuple):
    """What is told after each epoch; shares are in [0, 1]."""

    epoch: int
    """How many epochs are finished."""
    loss: float
    """Mean of the losses of its steps."""
    learning_rate: float
    """Of its last step."""
    validation_loss: float | None
    """Mean cross entropy of the validation images; None where there are none."""
    validation_accuracy: float | None
    seconds: float
    extra: Mapping[str, float]
    """What methods told."""


class FittedResult(NamedTuple):
    """What became of a training."""

    path: Path
    """Where the trained network is; `campaign.training.checkpoint.load` reads it."""
    epochs: int
    """The epoch that was kept; 0 is the network before training."""
    metrics: tuple[EpochMetrics, ...]
    status: Status
    warnings: tuple[str, ...]


class Trained(NamedTuple):
    """A trained network, to be stored as a model is."""

    state: Mapping[str, NDArray[np.generic]]
    """The state dict in the names of the network, as numpy arrays."""
    learnt: tuple[State, ...]
    """What each method of the job learnt, in their order."""
    epochs: int
    status: Status
    metrics: tuple[EpochMetrics, ...]
    warnings: tuple[str, ...]


def trained_part(stack: Iterable[Method]) -> tuple[Method, ...]:
    """The methods of a stack that its network is trained for; the others do not enter training."""
    return tuple(method for method in stack if method.fits)


def fit_digest(
    *,
    model: str,
    dataset: str,
    recipe: Recipe,
    methods: Iterable[Method],
    fmt: NumberFormat | None,
    seed: int,
    workers: int = 1,
    preprocess: Preprocess | None = None,
) -> str:
    """sha256 (hex) of all that decides a training.

    The name of a recipe does not count, what it says does; so does the number format only where a
    method `fits_format`.

    Args:
        model: `ModelSource.digest`.
        dataset: `DatasetSource.digest`.
        recipe: See `FitJob`, as are the others.
        methods: As there.
        fmt: As there; may be given where it does not count.
        seed: As there.
        workers: As there.
        preprocess: `ModelSource.preprocess`, which the digest of a model leaves out; None where it
            is told apart.
    """
    methods = tuple(methods)
    named = [
        [method.name, {k: v for k, v in changed_options(method).items() if k != "recipe"}]
        for method in methods
    ]
    label = fmt.label if fmt is not None and any(m.fits_format for m in methods) else None
    told = ["training", SEMANTICS, model, dataset, recipe.digest, named, label, seed]
    told += [] if workers == 1 else [workers]
    return combined_digest(*told, *([] if preprocess is None else [changed_options(preprocess)]))

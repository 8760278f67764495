"""What a training starts from: weights, images, the network, the optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from campaign.faults.streams import derived_seed
from campaign.lazy import torch
from campaign.training.job import FitJob, Materials
from campaign.training.recipe import Recipe, Sgd

if TYPE_CHECKING:
    from torch import nn


def read_materials(job: FitJob) -> Materials:
    """What the sources of a job give."""
    return Materials(job.model.state(), job.dataset.images(job.model.preprocess))


def network_of(job: FitJob, materials: Materials, *, fresh: bool) -> nn.Module:
    """The network to train, on the CPU; a fresh one is initialised by the seed of the job."""
    torch.manual_seed(derived_seed(job.seed, "network", "start"))
    module = job.model.build()
    if not fresh:
        module.load_state_dict({n: torch.tensor(value) for n, value in materials.state.items()})
    return module


def optimizer_of(recipe: Recipe, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of a recipe for these parameters."""
    options = recipe.optimizer.model_dump(exclude={"kind"})
    if isinstance(recipe.optimizer, Sgd):
        return torch.optim.SGD(parameters, **options)
    adaptive = torch.optim.Adam if recipe.optimizer.kind == "adam" else torch.optim.AdamW
    return adaptive(parameters, **options)

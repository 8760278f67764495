"""ProAct: bounds of activations, trained from the last layer to the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

from campaign.lazy import torch
from campaign.methods.base import METHODS
from campaign.methods.fitting import Batch, Context, Criterion, Fitting
from campaign.methods.learnt_bounds import BATCH, BoundsFitting, LearntBounds
from campaign.networks.sites import Site

if TYPE_CHECKING:
    from torch import Tensor, nn

PENALTY, PLACE = "proact/penalty", "proact/place"
"""What is kept from step to step: the penalty now, and whose bounds are trained."""


@METHODS.register
@dataclass(frozen=True)
class ProAct(LearntBounds):
    """Cut activations off above trained bounds: by neuron in the last activation, else by layer.

    They cut as those of ``fitact`` do, begin at the same values, and the weights stay as they are.
    One activation after the other is trained, from the last to the first, each for the same number
    of steps. The loss is the cross entropy, plus that against the answers of the network without
    bounds, plus `penalty` times the mean square of the bounds in training. Where accuracy has
    dropped by more than `largest_drop` after an epoch, the bounds of the last good one come back,
    and the penalty of this activation is a tenth from there on.
    Infinity becomes 0; NaN passes: put ``nan_filter`` into the stack to stop it.
    Cost: a protected constant for each activation, and for each neuron of the last; 6 operations
    per value. Source: Mousavi et al., ProAct, arXiv 2406.06313 and its public code, which trains by
    Adam, at a rate of 0.01 for layers and 0.001 for neurons. Departs: one rate for all; the penalty
    is a part of the loss, not a weight decay; accuracy is that of `images` training images, not of
    the test set; bounds are protected.

    Args:
        penalty: Weight of the squares in the loss, to begin with; published: 4e-5 to 4e-15.
        largest_drop: A share of the images; against the bounds where they begin.
        steepness: Of the sigmoid, in 1 / activation.
        images: Training images that say where bounds begin and what accuracy is.
        recipe: Name of the recipe; None is the default one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "proact"

    penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 4e-5
    largest_drop: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.002
    steepness: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 20.0
    images: Annotated[int, Field(ge=1)] = 1000
    recipe: str | None = None

    def fitting(self) -> Fitting:
        return ProActFitting(self)


class ProActFitting(BoundsFitting):
    """Training of one activation's bounds after the other.

    Args:
        method: Its options.
    """

    def __init__(self, method: ProAct) -> None:
        super().__init__(method.steepness)
        self.method = method
        self._good: dict[int, Tensor] = {}
        self._place = -1
        self._least = 0.0

    def prepare(self, module: nn.Module, context: Context) -> None:
        inputs = context.sample(self.method.images).inputs
        self.bounds.attach(module, inputs, lambda place, count: place == count - 1)
        for place, bound in self.bounds.held.items():
            self._good[place] = bound.detach().clone()
            module.register_buffer(f"activation_bound{place}_good", self._good[place])
        self._least = self._accuracy(module, context) - self.method.largest_drop

    def guard(self, site: Site, value: Tensor) -> Tensor:
        return self.bounds.guard(site, value, [self._place])

    def step(
        self, module: nn.Module, batch: Batch, criterion: Criterion, context: Context
    ) -> Tensor:
        self._place = self._turn(context)
        if context.memory.get(PLACE) != self._place:
            context.memory.update({PLACE: self._place, PENALTY: self.method.penalty})
        with torch.no_grad():
            answers = module(batch.inputs).to(torch.float32).softmax(1)
        logits = context.forward(module, batch.inputs)
        loss = criterion(logits, batch.labels)
        loss = loss + torch.nn.functional.cross_entropy(logits, answers)
        loss = loss + context.memory[PENALTY] * self.bounds.penalty(self._place)
        return context.backward(loss)

    def after_step(self, module: nn.Module, context: Context) -> None:
        if (context.step + 1) % context.steps:
            return
        kept = self._accuracy(module, context) >= self._least
        for place, bound in self.bounds.held.items():
            source, target = (bound, self._good[place]) if kept else (self._good[place], bound)
            target.copy_(source)
        if not kept:
            context.memory[PENALTY] /= 10
        context.metrics.update(mean_bound=self.bounds.mean(), bounds_taken_back=float(not kept))

    def _turn(self, context: Context) -> int:
        """The place whose bounds this step trains."""
        places = [*reversed(self.bounds.held)]
        return places[context.step * len(places) // (context.epochs * context.steps)]

    def _accuracy(self, module: nn.Module, context: Context) -> float:
        """The share of the images that are answered rightly, with the bounds as they are."""
        batch, right = context.sample(self.method.images), 0
        with torch.no_grad():
            for start in range(0, len(batch.labels), BATCH):
                logits = context.forward(module, batch.inputs[start : start + BATCH])
                right += int((logits.argmax(1) == batch.labels[start : start + BATCH]).sum())
        return right / len(batch.labels)

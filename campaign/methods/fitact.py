"""FitAct: each neuron has a bound of its own, which is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.methods.base import METHODS
from campaign.methods.fitting import Batch, Context, Criterion, Fitting
from campaign.methods.learnt_bounds import BoundsFitting, LearntBounds
from campaign.networks.sites import Site

if TYPE_CHECKING:
    from torch import Tensor, nn


@METHODS.register
@dataclass(frozen=True)
class FitAct(LearntBounds):
    """Cut activations off above bounds that are trained, while the weights stay as they are.

    An activation x becomes x * sigmoid(steepness * (bound - |x|)): nearly x below the bound, nearly
    0 above. Bounds begin at the largest magnitudes over `images` training images. The loss is the
    cross entropy plus `penalty` times the mean square of the bounds, summed over the activations.
    Values near a bound change without faults too; the trial at BER 0 shows what that costs.
    Infinity becomes 0; NaN passes: put ``nan_filter`` into the stack to stop it.
    Cost: a protected constant for each neuron (or activation site), 6 operations per value.
    Source: Ghavami et al., FitAct, DATE 2022, arXiv 2112.13544; penalty and start as in the public
    code of Mousavi et al., arXiv 2406.06313, which trains 100 epochs by Adam at a rate of 0.001.
    Departs: BatchNorm keeps its statistics; bounds are protected; negative activations, as of
    GELU, are cut like positive ones.

    Args:
        per: A bound for each ``neuron``, or one for each activation ``layer``.
        penalty: Weight of the squares in the loss.
        steepness: Of the sigmoid, in 1 / activation.
        images: Training images that say where bounds begin.
        recipe: Name of the recipe; None is the default one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "fitact"

    per: Literal["neuron", "layer"] = "neuron"
    penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 4e-11
    steepness: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 20.0
    images: Annotated[int, Field(ge=1)] = 1000
    recipe: str | None = None

    def fitting(self) -> Fitting:
        return FitActFitting(self)


class FitActFitting(BoundsFitting):
    """Training of all bounds at once.

    Args:
        method: Its options.
    """

    def __init__(self, method: FitAct) -> None:
        super().__init__(method.steepness)
        self.method = method

    def prepare(self, module: nn.Module, context: Context) -> None:
        inputs = context.sample(self.method.images).inputs
        self.bounds.attach(module, inputs, lambda place, count: self.method.per == "neuron")

    def guard(self, site: Site, value: Tensor) -> Tensor:
        return self.bounds.guard(site, value)

    def step(
        self, module: nn.Module, batch: Batch, criterion: Criterion, context: Context
    ) -> Tensor:
        loss = criterion(context.forward(module, batch.inputs), batch.labels)
        loss = loss + self.method.penalty * self.bounds.penalty()
        return context.backward(loss)

    def after_step(self, module: nn.Module, context: Context) -> None:
        if (context.step + 1) % context.steps == 0:
            context.metrics["mean_bound"] = self.bounds.mean()

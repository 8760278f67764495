"""DieHardNet: a network fine-tuned with bounded activations, and read without NaN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State
from campaign.methods.fitting import Context, Fitting
from campaign.networks.sites import Site, watched

if TYPE_CHECKING:
    from torch import Tensor, nn

IMAGES = 256
"""Images that say how much the bound changes where training starts."""


@METHODS.register
@dataclass(frozen=True)
class DieHardNet(Method):
    """Train with every activation clamped from above, so that a ReLU is a ReLU6; make NaN 0.

    As ``clipped_relu`` and ``nan_filter`` together, of a network that has learnt to do with the
    bound. NaN becomes 0 behind each layer and activation, infinity the bound behind activations.
    Cost: a comparison per value at each layer, 2 at each activation.
    Source: Cavagnero et al., IOLTS 2022, arXiv 2205.14420.
    Departs: trained without faults; the order of BatchNorm and activation is that of the network
    (``cifar_resnet20_relu_first`` has the published one), which keeps its BatchNorms' factors;
    published networks are trained from scratch for 160 epochs.

    Args:
        bound: The largest activation, above 0.
        scratch: Start from an untrained network, not from the weights.
        recipe: Name of the recipe; None is the default one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "diehardnet"
    bounds_as_trained: ClassVar[bool] = True

    bound: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 6.0
    scratch: bool = False
    recipe: str | None = None

    @property
    def fits(self) -> bool:
        return True

    @property
    def guards(self) -> bool:
        return True

    def fitting(self) -> Fitting:
        return BoundedFitting(self)

    def guard(self, site: Site, value: Tensor, seen: State) -> Tensor:
        value = torch.where(value.isnan(), 0.0, value)
        return value.clamp(max=self.bound) if site.kind == "activation" else value

    def guard_operations(self, site: Site, count: int) -> int:
        return 2 * count if site.kind == "activation" else count


class BoundedFitting(Fitting):
    """Training under the bound; a loss that is NaN stays one, and ends the training.

    Args:
        method: Its options.
    """

    def __init__(self, method: DieHardNet) -> None:
        self.method, self.fresh = method, method.scratch

    def prepare(self, module: nn.Module, context: Context) -> None:
        if self.fresh:
            return
        counts = {"clipped": 0, "all": 0}

        def look(site: Site, value: Tensor) -> Tensor:
            if site.kind == "activation":
                counts["clipped"] += int((value > self.method.bound).sum())
                counts["all"] += value.numel()
            return value

        module.eval()
        with watched(module, look), torch.no_grad():
            module(context.sample(IMAGES).inputs)
        if counts["clipped"]:
            context.warnings.append(
                f"diehardnet: training starts with {counts['clipped'] / counts['all']:.3%} of all "
                f"activations clipped to {self.method.bound:g}; a larger bound clips less"
            )

    def guard(self, site: Site, value: Tensor) -> Tensor:
        return value.clamp(max=self.method.bound) if site.kind == "activation" else value

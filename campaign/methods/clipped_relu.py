"""Clipped ReLU: no activation is above a fixed bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

from campaign.methods.base import METHODS, Method, State
from campaign.networks.sites import Site

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register
@dataclass(frozen=True)
class ClippedRelu(Method):
    """Clamp the output of every activation from above, without any profile.

    A change of design: with the default a ReLU becomes ReLU6. A network that was trained without
    the bound may answer worse even without faults; its trial at BER 0 shows by how much. Infinity
    becomes the bound; NaN passes. An activation written as ``clamp``, or as ``x * sigmoid(x)``, is
    not seen.
    Cost: one comparison per value at each activation site.
    Source: ReLU6 as a choice of design against faults: Cavagnero et al., IOLTS 2022,
    arXiv 2205.14420.
    Departs: nothing is trained anew.

    Args:
        bound: The largest activation, above 0.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "clipped_relu"
    bounds_as_trained: ClassVar[bool] = True

    bound: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] = 6.0

    @property
    def guards(self) -> bool:
        return True

    def guard(self, site: Site, value: Tensor, seen: State) -> Tensor:
        return value.clamp(max=self.bound) if site.kind == "activation" else value

    def guard_operations(self, site: Site, count: int) -> int:
        return count if site.kind == "activation" else 0

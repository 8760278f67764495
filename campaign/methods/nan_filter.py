"""NaN filter: what is not a number is 0 to the layers behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State
from campaign.networks.sites import Site

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register
@dataclass(frozen=True)
class NanFilter(Method):
    """Replace NaN by 0 in the output of every layer and every activation.

    Comparisons let NaN pass, and with it every bound on activations; one NaN makes all logits of an
    image NaN. The last layer is filtered too, so an answer with a NaN logit becomes a finite one.
    Cost: one comparison per value at each site.
    Source: Cavagnero et al., Transient-fault-aware design and training to enhance DNNs reliability
    with zero-overhead, IOLTS 2022, arXiv 2205.14420.

    Args:
        infinite: ``keep`` infinities, or make them ``zero`` too.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "nan_filter"

    infinite: Literal["keep", "zero"] = "keep"

    @property
    def guards(self) -> bool:
        return True

    def guard(self, site: Site, value: Tensor, seen: State) -> Tensor:
        kept = value.isfinite() if self.infinite == "zero" else ~value.isnan()
        return torch.where(kept, value, 0.0)

    def guard_operations(self, site: Site, count: int) -> int:
        return count

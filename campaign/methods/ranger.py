"""Ranger: activations are held inside the range that they had on the profile split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State
from campaign.networks.ranges import activation_percentiles, activation_ranges
from campaign.networks.sites import Site

if TYPE_CHECKING:
    from torch import Tensor

    from campaign.faults.subject import Subject


@METHODS.register
@dataclass(frozen=True)
class Ranger(Method):
    """Restrict each activation, layer by layer, to [low, up] as observed on the profile split.

    At a percentile of 100 nothing changes on the split itself, to the bit. Infinities are out of
    range; NaN passes, as in every comparison: put ``nan_filter`` into the stack to stop it.
    Activations are those made by an activation function, such as relu or silu; one written as
    ``clamp``, or as ``x * sigmoid(x)``, is not seen.
    Cost: two protected constants and two comparisons per value for each activation site.
    Source: Chen et al., A low-cost fault corrector for deep neural networks through range
    restriction, DSN 2021, arXiv 2003.13874.
    Departs: pooling, reshaping and concatenation behind an activation are not restricted again,
    for what they make of values in the range cannot leave it.

    Args:
        percentile: Of the observed values, in (0, 100]: the upper end is the smallest of them that
            at least so many per cent do not exceed; the lower end is always the smallest.
        out_of_range: ``saturate`` to the nearer end of the range, or ``zero``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "ranger"

    percentile: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False, strict=True)] = 100.0
    out_of_range: Literal["saturate", "zero"] = "saturate"

    @property
    def observes(self) -> bool:
        return True

    @property
    def guards(self) -> bool:
        return True

    def observe(self, subject: Subject) -> State:
        ranges = activation_ranges(lambda visit: subject.logits({}, visit))
        ups = {place: held.up for place, held in ranges.items()}
        if self.percentile < 100:
            ups = activation_percentiles(lambda visit: subject.logits({}, visit), self.percentile)
        lows = {f"low{place}": held.low for place, held in ranges.items()}
        return {**lows, **{f"up{place}": up for place, up in ups.items()}}

    def guard(self, site: Site, value: Tensor, seen: State) -> Tensor:
        low, up = seen.get(f"low{site.place}"), seen.get(f"up{site.place}")
        if site.kind != "activation" or low is None or up is None:
            return value
        # Not `clamp`: it may turn -0 at an end of 0 into +0.
        if self.out_of_range == "zero":
            return torch.where((value < low) | (value > up), 0.0, value)
        return torch.where(value > up, up, torch.where(value < low, low, value))

    def guard_operations(self, site: Site, count: int) -> int:
        return 2 * count if site.kind == "activation" else 0

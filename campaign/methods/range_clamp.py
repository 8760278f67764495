"""Range check on read: values beyond the largest fault-free one are zeroed or clamped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from campaign.formats.magnitude import largest_magnitude
from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register
@dataclass(frozen=True)
class RangeClamp(Method):
    """Keep M = max|w| of the stored weights; on read, repair what lies outside [-M, M].

    NaN is outside of every range and becomes 0 in both modes. M is taken from the weights as read
    back, so a fault-free weight is never touched, whatever the number format.
    Cost: one protected constant per tensor (or row); per weight 3 operations to clamp (both ends,
    NaN), 2 to zero (magnitude, comparison).
    Source: the read-side clamp of arXiv 2006.13977; zeroing: weight nulling (Qin et al., 2018).

    Args:
        out_of_range: ``clamp`` to the nearer end of the range, or ``zero``.
        per: One range per ``tensor`` or per output ``row`` (dimension 0).
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "range_clamp"

    out_of_range: Literal["clamp", "zero"] = "clamp"
    per: Literal["tensor", "row"] = "tensor"

    def profile(self, value: Tensor, state: State) -> State:
        return {**state, "largest": largest_magnitude(value, by_row=self.per == "row")}

    def operations(self, count: int, width: int) -> int:
        return count * (3 if self.out_of_range == "clamp" else 2)

    def restore(self, value: Tensor, state: State) -> Tensor:
        largest = state.get("largest")
        if largest is None:
            return value
        if self.out_of_range == "zero":
            return torch.where(value.abs() <= largest, value, 0.0)
        return torch.where(value.isnan(), 0.0, value.clamp(-largest, largest))

"""Range check on read: values beyond the largest fault-free one are zeroed or clamped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.formats.magnitude import largest_magnitude, percentile_magnitude
from campaign.formats.pieces import by_pieces
from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register
@dataclass(frozen=True)
class RangeClamp(Method):
    """Keep M = max|w| of the stored weights; on read, repair what lies outside [-M, M].

    NaN is outside of every range and becomes 0 in both modes. M is taken from the weights as read
    back, so a fault-free weight is never touched, whatever the number format. With a `percentile`
    below 100, M is the magnitude of that rank (the least that so many percent of the magnitudes do
    not exceed), and larger weights are clipped to it before they are stored: a narrower range for a
    healthy network that is not quite the trained one.
    Cost: one protected constant per tensor (or row); per weight 3 operations to clamp (both ends,
    NaN), 2 to zero (magnitude, comparison).
    Source: the read-side clamp of arXiv 2006.13977; zeroing: weight nulling (Qin et al., 2018).

    Args:
        out_of_range: ``clamp`` to the nearer end of the range, or ``zero``.
        per: One range per ``tensor`` or per output ``row`` (dimension 0).
        percentile: Of the magnitudes, in (0, 100]; what lies above is clipped when stored.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "range_clamp"
    pointwise: ClassVar[bool] = True

    out_of_range: Literal["clamp", "zero"] = "clamp"
    per: Literal["tensor", "row"] = "tensor"
    percentile: Annotated[float, Field(gt=0, le=100)] = 100.0

    def transform(self, weight: Tensor) -> tuple[Tensor, State]:
        if self.percentile == 100:
            return weight, {}
        by_row = self.per == "row"
        limit = percentile_magnitude(weight, self.percentile, by_row=by_row)
        none = limit == 0
        if bool(none.any()) and bool((none & (largest_magnitude(weight, by_row=by_row) > 0)).any()):
            raise ValueError(
                f"range_clamp: percentile {self.percentile:g} of the magnitudes of a {self.per} is "
                "0, so that all of its weights would be; raise it"
            )
        return weight.clamp(-limit, limit), {}

    def profile(self, value: Tensor, state: State) -> State:
        return {**state, "largest": largest_magnitude(value, by_row=self.per == "row")}

    def operations(self, count: int, width: int) -> int:
        return count * (3 if self.out_of_range == "clamp" else 2)

    def restore(self, value: Tensor, state: State) -> Tensor:
        largest = state.get("largest")
        return (
            value if largest is None else within(value, largest, zero=self.out_of_range == "zero")
        )


def within(value: Tensor, largest: Tensor, *, zero: bool) -> Tensor:
    """Bring values back into [-largest, largest]; NaN becomes 0.

    Args:
        value: float32, left unchanged.
        largest: float32, at least 0, broadcastable to `value`.
        zero: Whether what lies outside becomes 0, else the nearer end.

    Example:
        >>> within(torch.tensor([2.0, -0.5, -3.0]), torch.tensor(1.0), zero=False)
        tensor([ 1.0000, -0.5000, -1.0000])
    """
    return by_pieces(value, largest, _zeroed if zero else _clamped)


def _zeroed(value: Tensor, largest: Tensor) -> Tensor:
    return torch.where(value.abs() <= largest, value, 0.0)


def _clamped(value: Tensor, largest: Tensor) -> Tensor:
    return value.clamp(-largest, largest).nan_to_num_(0.0, float("inf"), -float("inf"))

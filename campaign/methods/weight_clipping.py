"""Weight clipping: no weight is stored or read beyond a fixed bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.formats.magnitude import largest_magnitude
from campaign.methods.base import METHODS, Method, State
from campaign.methods.range_clamp import within

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register
@dataclass(frozen=True)
class WeightClipping(Method):
    """Clip weights to [-bound, bound] before they are stored; on read, repair what lies outside.

    A format with a fitted scale then spreads its codes over at most this range. Where it rounds a
    clipped weight beyond the bound, the range on read reaches to the stored value, so that a
    fault-free weight is never touched. NaN becomes 0.
    Cost: one protected constant per tensor; per weight 3 operations to clamp (both ends, NaN), 2 to
    zero (magnitude, comparison).
    Source: Clipping of Stutz et al., MLSys 2021 (arXiv 2006.13977). Departs: applied once, after
    training; there, weights are clipped in every step of it.

    Args:
        bound: Largest magnitude, above 0, in units of the weight; published: 0.05 to 0.2.
        out_of_range: What is read beyond it: ``clamp`` to the nearer end, or ``zero``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "weight_clipping"
    pointwise: ClassVar[bool] = True

    bound: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    out_of_range: Literal["clamp", "zero"] = "clamp"

    def misfit(self, before: Sequence[Method], kinds: Sequence[str]) -> str | None:
        """The bound is one of the weight as trained."""
        changed = [m.name for m in before if type(m).transform is not Method.transform]
        if (reason := super().misfit(before, kinds)) is not None or not changed:
            return reason
        return (
            f"{changed[0]} stands before it and may store other numbers than the weight, which "
            "bound is in units of; put it first"
        )

    def transform(self, weight: Tensor) -> tuple[Tensor, State]:
        return weight.clamp(-self.bound, self.bound), {}

    def profile(self, value: Tensor, state: State) -> State:
        return {**state, "largest": largest_magnitude(value).clamp(min=self.bound)}

    def operations(self, count: int, width: int) -> int:
        return count * (3 if self.out_of_range == "clamp" else 2)

    def restore(self, value: Tensor, state: State) -> Tensor:
        largest = state.get("largest")
        return (
            value if largest is None else within(value, largest, zero=self.out_of_range == "zero")
        )

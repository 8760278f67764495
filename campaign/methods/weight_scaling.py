"""Weight scaling: store c*W with c = t / max|W|, divide on read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from campaign.formats import NumberFormat
from campaign.formats.magnitude import largest_magnitude
from campaign.formats.pieces import by_pieces
from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State

if TYPE_CHECKING:
    from torch import Tensor


@METHODS.register
@dataclass(frozen=True)
class WeightScaling(Method):
    """Store c*W and divide by c on read, so that a flip of size e costs e/c.

    c = t / max|W|, held in float64: t near the top of fp32 makes c overflow float32. With
    ``power_of_two`` c is rounded down to a power of two, and scaling floats is then exact.
    Cost: one protected constant per layer (or channel) and a division per weight read.
    Source: Fuengfusin & Tamukoh, arXiv 2411.18993. Departs: offers one c per output channel.

    Args:
        per: One constant per ``layer`` or per output ``channel`` (dimension 0).
        power_of_two: Round c down to a power of two.
        t: What the largest |c*W| is; a grid axis, set by ``grid.t``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "weight_scaling"
    takes_t: ClassVar[bool] = True

    per: Literal["layer", "channel"] = "layer"
    power_of_two: bool = False
    t: float | None = None

    def refusal(self, fmt: NumberFormat) -> str | None:
        """Formats with a fitted scale have no range to aim t at; floats must be able to hold t."""
        if fmt.largest is None:
            return f"{fmt.label} fits a scale of its own to the weights, so t has no meaning"
        if self.t is None or fmt.clips or self.t <= fmt.largest:
            return None
        return f"t = {self.t:g} is above the largest {fmt.label} value {fmt.largest:g}"

    def transform(self, weight: Tensor) -> tuple[Tensor, State]:
        assert self.t is not None
        largest = largest_magnitude(weight, by_row=self.per == "channel").double()
        target = torch.full_like(largest, self.t)  # number / tensor would round twice
        c = torch.where(largest > 0, target / largest, 1.0)
        if self.power_of_two:
            c = c / (2 * torch.frexp(c).mantissa)  # exact; torch.ldexp may overflow above 2^127
        return by_pieces(weight, c, _multiplied), {"c": c}

    def restore(self, value: Tensor, state: State) -> Tensor:
        return by_pieces(value, state["c"], _divided)


def _multiplied(value: Tensor, c: Tensor) -> Tensor:
    return value.double().mul_(c).to(torch.float32)


def _divided(value: Tensor, c: Tensor) -> Tensor:
    return value.double().div_(c).to(torch.float32)

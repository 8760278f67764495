"""Weight scaling: store c*W with c = t / max|W|, divide on read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from campaign.formats import NumberFormat
from campaign.formats.magnitude import largest_magnitude
from campaign.formats.pieces import by_pieces
from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, Settled, State
from campaign.networks.division import absorbed, carried

if TYPE_CHECKING:
    from torch import Tensor, nn


@METHODS.register
@dataclass(frozen=True)
class WeightScaling(Method):
    """Store c*W and divide by c on read, so that a flip of size e costs e/c.

    c = t / max|W|, held in float64: t near the top of fp32 makes c overflow float32. With
    ``power_of_two`` c is rounded down to a power of two, and scaling floats is then exact.
    Where not the weights but the logits or BatchNorms are divided, the network computes with c*W,
    and biases and norms, which must not be exposed, are adapted once.
    Cost: one protected constant per layer (or channel); 1 operation per weight, a division, or none
    where the logits or BatchNorms are divided.
    Source: Fuengfusin & Tamukoh, arXiv 2411.18993. Departs: offers one c per output channel, and
    division by BatchNorm.

    Args:
        per: One constant per ``layer`` or per output ``channel`` (dimension 0).
        power_of_two: Round c down to a power of two.
        divide: What is divided by c: each weight of a ``layer`` as it is read; the ``logits``, once
            by the product of all constants, for networks that pass a scale on; or the
            ``batchnorm`` that follows each layer, with the logits for the last one.
        t: What the largest |c*W| is; a grid axis, set by ``grid.t``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "weight_scaling"
    pointwise: ClassVar[bool] = True
    takes_t: ClassVar[bool] = True

    per: Literal["layer", "channel"] = "layer"
    power_of_two: bool = False
    divide: Literal["layer", "logits", "batchnorm"] = "layer"
    t: float | None = None

    def __post_init__(self) -> None:
        if self.divide == "logits" and self.per == "channel":
            raise ValueError("divide: logits divides by one constant; it needs per: layer")

    def refusal(self, fmt: NumberFormat) -> str | None:
        """Formats with a fitted scale have no range to aim t at; floats must be able to hold t."""
        if fmt.largest is None:
            return f"{fmt.label} fits a scale of its own to the weights, so t has no meaning"
        if self.t is None or fmt.clips or self.t <= fmt.largest:
            return None
        return f"t = {self.t:g} is above the largest {fmt.label} value {fmt.largest:g}"

    def misfit(self, before: Sequence[Method], kinds: Sequence[str]) -> str | None:
        """Only weights may be exposed, and only as c*W, where they are not divided on read."""
        if (reason := super().misfit(before, kinds)) is not None or self.divide == "layer":
            return reason
        adapted = [kind for kind in kinds if kind in ("biases", "norms", "other")]
        if adapted:
            return (
                f"divide: {self.divide} makes {adapted[0]} large numbers, which protected memory "
                "must hold; expose weights only, or use divide: layer"
            )
        blind = [method.name for method in before if _changes_values(method)]
        if blind:
            return (
                f"{blind[0]} stands before it and would read undivided weights; put it after "
                "weight_scaling, or use divide: layer"
            )
        return None

    def transform(self, weight: Tensor) -> tuple[Tensor, State]:
        assert self.t is not None
        largest = largest_magnitude(weight, by_row=self.per == "channel").double()
        target = torch.full_like(largest, self.t)  # number / tensor would round twice
        c = torch.where(largest > 0, target / largest, 1.0)
        if self.power_of_two:
            c = c / (2 * torch.frexp(c).mantissa)  # exact; torch.ldexp may overflow above 2^127
        return by_pieces(weight, c, _multiplied), {"c": c}

    def operations(self, count: int, width: int) -> int:
        return count if self.divide == "layer" else 0

    def restore(self, value: Tensor, state: State) -> Tensor:
        if self.divide != "layer":
            return value
        return by_pieces(value, state["c"], _divided)

    def meaning(self, value: Tensor, state: State) -> Tensor:
        return value if self.divide == "layer" else by_pieces(value, state["c"], _divided)

    @property
    def rescales(self) -> frozenset[str]:
        if self.divide == "logits":
            return frozenset({"layer", "activation"})
        return frozenset({"layer"} if self.divide == "batchnorm" else ())

    def settle(self, module: nn.Module, states: Mapping[str, State]) -> Settled:
        if self.divide == "layer":
            return Settled({})
        constants = {name: state["c"] for name, state in states.items()}
        if self.divide == "batchnorm":
            return Settled(*absorbed(module, constants))
        return Settled(*carried(module, {name: float(c) for name, c in constants.items()}))


def _changes_values(method: Method) -> bool:
    """Whether `method` does anything to numbers, beside what it does to words."""
    own = type(method)
    return own.transform is not Method.transform or own.restore is not Method.restore


def _multiplied(value: Tensor, c: Tensor) -> Tensor:
    return value.double().mul_(c)


def _divided(value: Tensor, c: Tensor) -> Tensor:
    return value.double().div_(c)

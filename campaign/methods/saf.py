"""Saturated activation functions on weights: store raw, apply tau on read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import ConfigDict

from campaign.formats.magnitude import largest_magnitude
from campaign.formats.pieces import by_pieces
from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State

if TYPE_CHECKING:
    from torch import Tensor


class Saturation(NamedTuple):
    """A saturated function, its inverse on (-bound, bound), the bound, operations of a number."""

    apply: Callable[[Tensor], Tensor]
    invert: Callable[[Tensor], Tensor]
    bound: float
    operations: int

    def applied(self, value: Tensor, a: Tensor) -> Tensor:
        """Compute a tau(value / a) in float64, as float32."""
        return (self.apply(value.double() / a) * a).to(torch.float32)

    def inverted(self, value: Tensor, a: Tensor) -> Tensor:
        """Compute a tau^-1(value / a) in float64, as float32."""
        return (self.invert(value.double() / a) * a).to(torch.float32)


def _softsign(x: Tensor) -> Tensor:
    """Compute x / (1 + |x|), with the limit +-1 at infinity instead of inf/inf."""
    return torch.where(x.isinf(), x.sign(), x / (1 + x.abs()))


SATURATIONS: dict[str, Saturation] = {
    "tanh": Saturation(lambda x: x.tanh(), lambda y: y.atanh(), 1.0, 1),
    "arctan": Saturation(lambda x: x.atan(), lambda y: y.tan(), math.pi / 2, 1),
    "softsign": Saturation(_softsign, lambda y: y / (1 - y.abs()), 1.0, 3),
    "hardtanh": Saturation(lambda x: x.clamp(-1, 1), lambda y: y, 1.0, 2),
    "scaled_tanh": Saturation(lambda x: x.tanh(), lambda y: y.atanh(), 1.0, 3),
}


@METHODS.register
@dataclass(frozen=True)
class SaturatedWeights(Method):
    """Apply a saturated function tau to each weight on read, so that no flip exceeds its bound.

    With ``store: inverse`` a trained network is converted without training: tau^-1(W) is stored and
    tau gives W back. With ``store: raw`` W itself is stored and the network computes with tau(W),
    as one does after training through tau. NaN stays NaN: see ``grid.nonfinite``.
    Cost: one protected constant per tensor; operations per weight: tanh, arctan 1, hardtanh 2,
    softsign and scaled_tanh 3, a transcendental function counted as one. Source: Fuengfusin &
    Tamukoh, arXiv 2411.19027. Departs: ``scaled_tanh``, a tanh(w / a), with `a` tied to each
    layer's max|W|.

    Args:
        function: ``tanh``, ``arctan``, ``softsign``, ``hardtanh`` or ``scaled_tanh``.
        store: ``inverse`` or ``raw``.
        a: Bound of ``scaled_tanh`` as an absolute value; None takes `a_over_max`.
        a_over_max: Bound of ``scaled_tanh`` over the layer's max|W|; above 1 for ``inverse``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "saf"
    pointwise: ClassVar[bool] = True

    function: Literal["tanh", "arctan", "softsign", "hardtanh", "scaled_tanh"] = "tanh"
    store: Literal["inverse", "raw"] = "inverse"
    a: float | None = None
    a_over_max: float = 1.1

    def __post_init__(self) -> None:
        if self.function != "scaled_tanh" and (self.a is not None or self.a_over_max != 1.1):
            raise ValueError(f"a and a_over_max belong to scaled_tanh, not to {self.function}")
        least = 1.0 if self.store == "inverse" else 0.0
        if not least < self.a_over_max < math.inf or not (self.a is None or 0 < self.a < math.inf):
            raise ValueError(
                f"got a={self.a}, a_over_max={self.a_over_max}; allowed: a > 0 and "
                f"a_over_max > {least:g} with store: {self.store}"
            )
        if self.a is not None and self.a_over_max != 1.1:
            raise ValueError("a and a_over_max are two ways to say the bound; give one")

    def transform(self, weight: Tensor) -> tuple[Tensor, State]:
        state = {"a": self._a(weight)}
        if self.store == "raw":
            return weight, state
        bound = SATURATIONS[self.function].bound * float(state["a"])
        largest = float(largest_magnitude(weight))
        if largest > bound or (largest == bound and self.function != "hardtanh"):
            instead = f"a above {largest:.6g}" if self.a is not None else "function: scaled_tanh"
            raise ValueError(
                f"saf {self.function}: max|W| = {largest:.6g} is not below the bound {bound:.6g}: "
                f"no inverse; use {instead}, or store: raw after training"
            )
        return by_pieces(weight, state["a"], SATURATIONS[self.function].inverted), state

    def restore(self, value: Tensor, state: State) -> Tensor:
        return by_pieces(value, state["a"], SATURATIONS[self.function].applied)

    def operations(self, count: int, width: int) -> int:
        return count * SATURATIONS[self.function].operations

    def _a(self, weight: Tensor) -> Tensor:
        """The factor inside and outside of tau: float64, shape ()."""
        one = torch.ones((), dtype=torch.float64, device=weight.device)
        if self.function != "scaled_tanh":
            return one
        if self.a is not None:
            return one * self.a
        largest = largest_magnitude(weight).double()
        return torch.where(largest > 0, largest * self.a_over_max, one)

"""Saturated activation functions on weights: store raw, apply tau on read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from campaign.formats.magnitude import largest_magnitude
from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State
from campaign.methods.saturation import SATURATIONS

if TYPE_CHECKING:
    from torch import Tensor


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
        return SATURATIONS[self.function].inverted(weight, state["a"]), state

    def restore(self, value: Tensor, state: State) -> Tensor:
        return SATURATIONS[self.function].applied(value, state["a"])

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

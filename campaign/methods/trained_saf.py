"""Saturated activation functions on weights, trained through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from campaign.methods.base import METHODS, Method


@METHODS.register
@dataclass(frozen=True)
class TrainedSaturatedWeights(Method):
    """Train through a saturated function tau of each weight; store W raw and apply tau on read.

    Cost: as `saf`. Source: Fuengfusin & Tamukoh, arXiv 2411.19027.

    Args:
        function: ``tanh``, ``arctan``, ``softsign``, ``hardtanh`` or ``scaled_tanh``.
        start: ``weights`` starts at W, ``inverse`` at tau^-1(W), so that the network starts as it
            was, ``scratch`` anew.
        a_over_max: Bound of ``scaled_tanh`` over the layer's max|W| where training starts.
        gains: Train a factor of each layer's tau(W) too, held in protected memory.
        quantized: Train on weights as the number format stores them, by the straight-through rule.
        recipe: Name of the recipe; None is the default one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "trained_saf"
    pointwise: ClassVar[bool] = True

    function: Literal["tanh", "arctan", "softsign", "hardtanh", "scaled_tanh"] = "tanh"
    start: Literal["weights", "inverse", "scratch"] = "weights"
    a_over_max: float = 1.1
    gains: bool = False
    quantized: bool = False
    recipe: str | None = None

    @property
    def fits(self) -> bool:
        return True

    @property
    def fits_format(self) -> bool:
        return self.quantized

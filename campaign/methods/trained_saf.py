"""Saturated activation functions on weights, trained through."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State
from campaign.methods.fitting import Context, Fitting
from campaign.methods.none import Unprotected
from campaign.methods.saf import SaturatedWeights
from campaign.methods.saturation import SATURATIONS
from campaign.methods.stored_training import stored_in
from campaign.methods.weight_clipping import told_clipped
from campaign.networks.raw import parametrize, raw_parameters
from campaign.sources.parameters import parameter_kinds

if TYPE_CHECKING:
    from torch import Tensor, nn


SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda x: 1 - x.tanh() ** 2,
    "arctan": lambda x: 1 / (1 + x * x),
    "softsign": lambda x: 1 / (1 + x.abs()) ** 2,
    "hardtanh": lambda x: (x.abs() <= 1).to(x.dtype),
    "scaled_tanh": lambda x: 1 - x.tanh() ** 2,
}
"""tau'(x), for x = w / a: a tau(w / a) has that slope by w."""


@METHODS.register
@dataclass(frozen=True)
class TrainedSaturatedWeights(Method):
    """Train through a saturated function tau of each weight; store W raw and apply tau on read.

    Convolutions and linear layers compute with tau(W) from the first step on; biases and norms are
    as ever. What trains is what a trial reads, to the bit. NaN stays NaN: see ``grid.nonfinite``.
    Cost: as ``saf``, and with `gains` one more constant per tensor and operation per weight.
    Source: Fuengfusin & Tamukoh, arXiv 2411.19027. Departs: gains and ``scaled_tanh``, whose bound
    is tied to each layer's weights where training starts.

    Args:
        function: ``tanh``, ``arctan``, ``softsign``, ``hardtanh`` or ``scaled_tanh``.
        start: ``weights`` starts at W; ``inverse`` at tau^-1(W), so that the network starts as it
            was; ``scratch`` with an untrained network.
        a_over_max: Bound of ``scaled_tanh`` over the layer's max|W| where training starts; above 1
            for ``inverse``.
        gains: Train a factor of each layer's tau(W) too, in protected memory.
        quantized: Train with weights as the number format stores them, by the straight-through
            rule; meant for stacks that change nothing else of it and expose all weights.
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

    def __post_init__(self) -> None:
        if self.function != "scaled_tanh" and self.a_over_max != 1.1:
            raise ValueError(f"a_over_max belongs to scaled_tanh, not to {self.function}")
        least = 1.0 if self.start == "inverse" else 0.0
        if not least < self.a_over_max < math.inf:
            raise ValueError(
                f"got a_over_max={self.a_over_max}; allowed: above {least:g} with start: "
                f"{self.start}"
            )

    @property
    def fits(self) -> bool:
        return True

    @property
    def fits_format(self) -> bool:
        return self.quantized

    def misfit(self, before: Sequence[Method], kinds: Sequence[str]) -> str | None:
        """What is stored must be the weight that was trained, or be that again on read."""
        changing = [
            m.name for m in before if type(m).transform is not Method.transform and not m.fits
        ]
        if (reason := super().misfit(before, kinds)) is not None or not changing:
            return reason
        return (
            f"{changing[0]} stands before it and changes the weights that tau is trained on; "
            f"put {changing[0]} behind it"
        )

    def fitting(self) -> Fitting:
        return SaturatedFitting(self)

    def recall(self, learnt: State, name: str) -> Method:
        a = learnt.get(f"{name}/a")
        if a is None:
            return Unprotected()
        return SaturatedLayer(self.raw, a, learnt.get(f"{name}/gain"))

    @property
    def raw(self) -> SaturatedWeights:
        """The same function of weights that are stored raw."""
        return SaturatedWeights(self.function, "raw", a_over_max=self.a_over_max)

    def transform(self, weight: Tensor) -> tuple[Tensor, State]:
        return self.raw.transform(weight)

    def restore(self, value: Tensor, state: State) -> Tensor:
        return self.raw.restore(value, state)

    def operations(self, count: int, width: int) -> int:
        return self.raw.operations(count, width) + count * self.gains


@dataclass(frozen=True, eq=False)
class SaturatedLayer(Method):
    """A trained tau for one parameter.

    Args:
        raw: tau of weights that are stored raw.
        a: The factor inside and outside of tau, float64, shape ().
        gain: What tau(W) is multiplied by, float32, shape (); None is 1.
    """

    pointwise: ClassVar[bool] = True

    raw: SaturatedWeights
    a: Tensor
    gain: Tensor | None

    def transform(self, weight: Tensor) -> tuple[Tensor, State]:
        held = {"a": self.a} if self.gain is None else {"a": self.a, "gain": self.gain}
        return weight, {name: constant.to(weight.device) for name, constant in held.items()}

    def restore(self, value: Tensor, state: State) -> Tensor:
        read = self.raw.restore(value, state)
        return read if "gain" not in state else read * state["gain"]

    def operations(self, count: int, width: int) -> int:
        return self.raw.operations(count, width) + count * (self.gain is not None)


class SaturatedFitting(Fitting):
    """Training through tau.

    Args:
        method: Its options.
    """

    def __init__(self, method: TrainedSaturatedWeights) -> None:
        self.method, self.fresh = method, method.start == "scratch"
        self._constants: dict[str, State] = {}
        self._gains: dict[str, Tensor] = {}

    def prepare(self, module: nn.Module, context: Context) -> None:
        kinds, held = parameter_kinds(module), raw_parameters(module)
        weights = {name: held[name] for name, kind in kinds.items() if kind == "weights"}
        for name, weight in weights.items():
            self._constants[name] = self.method.raw.transform(weight.detach())[1]
        if self.method.start == "weights":
            self._warn(weights, context)
        for name, weight in weights.items():
            if self.method.start == "inverse":
                weight.data.copy_(self._inverse(name, weight.detach()))
            self._parametrize(module, name, context)

    def finish(self, module: nn.Module, context: Context) -> State:
        learnt = {f"{name}/a": held["a"] for name, held in self._constants.items()}
        if self.method.gains:
            learnt |= {f"{name}/gain": gain.detach() for name, gain in self._gains.items()}
        return learnt

    def _warn(self, weights: Mapping[str, Tensor], context: Context) -> None:
        bounds = {name: self._bound(name) for name in weights}
        advice = "function: scaled_tanh with a_over_max from 1 on clips none"
        if (told := told_clipped(weights, bounds, advice)) is not None:
            context.warnings.append(f"trained_saf: {told}")

    def _bound(self, name: str) -> float:
        return SATURATIONS[self.method.function].bound * float(self._constants[name]["a"])

    def _parametrize(self, module: nn.Module, name: str, context: Context) -> None:
        from campaign.networks.through import Gain, Through

        state, raw = self._constants[name], self.method.raw
        if self.method.quantized:
            assert context.fmt is not None
            parametrize(module, name, Through(partial(stored_in, context.fmt)))
        slope = partial(_slope, self.method.function, state["a"])
        parametrize(module, name, Through(lambda value: raw.restore(value, state), slope))
        if self.method.gains:
            gain = Gain(context.device)
            self._gains[name] = gain.factor
            parametrize(module, name, gain)

    def _inverse(self, name: str, weight: Tensor) -> Tensor:
        method = self.method
        inverse = SaturatedWeights(method.function, "inverse", a_over_max=method.a_over_max)
        try:
            return inverse.transform(weight)[0]
        except ValueError as error:
            found = str(error).partition(";")[0]
            share = float((weight.abs() >= self._bound(name)).float().mean())
            raise ValueError(
                f"{name}: {found} for {share:.3%} of it; use start: weights or "
                "function: scaled_tanh"
            ) from None


def _slope(function: str, a: Tensor, value: Tensor) -> Tensor:
    return SLOPES[function](value.double() / a).to(torch.float32)

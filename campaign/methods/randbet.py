"""RandBET: training under random bit errors, with clipped weights as the number format has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.faults import FAULTS
from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State
from campaign.methods.fitting import Batch, Context, Criterion, Fitting
from campaign.methods.none import Unprotected
from campaign.methods.stored_training import (
    StoredParameters,
    buffers_kept,
    kinds_stored,
    step_seed,
    tell_faulty,
)
from campaign.methods.weight_clipping import told_clipped
from campaign.networks.raw import parametrize
from campaign.sources.parameters import parameter_kinds

if TYPE_CHECKING:
    from torch import Tensor, nn

ACTIVE = "randbet/active"
"""In `Context.memory`: whether the next step sees faults."""
LENIENT = 1.15
"""By how much the loss without faults may exceed the threshold."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@METHODS.register
@dataclass(frozen=True)
class RandomBitErrorTraining(Method):
    """Train under random bit errors of the weights, quantised and clipped; store them as they are.

    Weights are read from words of the number format in each step, and learn straight through. A
    step adds two gradients and halves them: one without faults, and one with each bit flipped with
    probability `p`, clamped value by value. It does without the second where, a step before, the
    loss without faults was at or above 1.15 times `threshold`, or its mean with the loss under
    faults above `threshold`. After each step the raw parameters are projected to [-w_max, w_max].
    With ``p: 0`` this is quantised training with clipping alone. Cost: none on read; with `norms`
    1 operation per norm scale.
    Source: Stutz et al., MLSys 2021 (arXiv 2006.13977), and its public code; RQuant is
    ``int8: {scheme: robust, storage: unsigned}``. Departs: there all parameters are trained so and
    networks start untrained; a step whose loss under faults is no finite number keeps the gradient
    without faults; a gradient of NaN under faults counts as 0.

    Args:
        p: Bit error rate in training, a probability.
        w_max: Largest magnitude of a parameter in training; null clips nothing.
        clamp: Largest magnitude of a gradient under faults.
        threshold: Loss up to which faults are injected; published: 1.75 for 10 classes, 3.5 for
            100.
        map_seed: Seed of a trial whose flips by ``bit_flip`` are those of every step, as of a chip
            that is known beforehand; null draws new ones in each step, from seeds of no trial.
        biases: Quantise, clip and flip biases too.
        norms: Quantise, clip and flip norms too; their scales are then stored as differences
            from 1.
        start: ``weights`` goes on from the network's weights, ``scratch`` trains it anew.
        recipe: Name of the recipe; None is the default one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "randbet"

    p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.01
    w_max: Positive | None = 0.1
    clamp: Positive = 0.05
    threshold: Positive = 1.75
    map_seed: Annotated[int, Field(ge=0, strict=True)] | None = None
    biases: bool = False
    norms: bool = False
    start: Literal["weights", "scratch"] = "weights"
    recipe: str | None = None

    @property
    def fits(self) -> bool:
        return True

    @property
    def fits_format(self) -> bool:
        return True

    def fitting(self) -> Fitting:
        return RandBetFitting(self)

    def recall(self, learnt: State, name: str) -> Method:
        return FromOne() if name in learnt else Unprotected()


@dataclass(frozen=True)
class FromOne(Method):
    """A scale that is stored as its difference from 1."""

    pointwise: ClassVar[bool] = True

    def restore(self, value: Tensor, state: State) -> Tensor:
        return value + 1

    def operations(self, count: int, width: int) -> int:
        return count


class RandBetFitting(Fitting):
    """Gradients with and without faults, projected weights.

    Args:
        method: Its options.
    """

    def __init__(self, method: RandomBitErrorTraining) -> None:
        self.method, self.fresh = method, method.start == "scratch"
        self._fault = FAULTS.make("bit_flip")
        self._scales: list[str] = []

    def prepare(self, module: nn.Module, context: Context) -> None:
        assert context.fmt is not None
        kinds = kinds_stored(biases=self.method.biases, norms=self.method.norms)
        self._stored = StoredParameters(module, kinds, context.fmt)
        self._store_scales_from_one(module)
        bound, held = self.method.w_max, self._stored.parameters
        if bound is not None and (warning := told_clipped(held, bound)) is not None:
            context.warnings.append(f"randbet: {warning}")
        self.after_step(module, context)

    def step(
        self, module: nn.Module, batch: Batch, criterion: Criterion, context: Context
    ) -> Tensor:
        loss = super().step(module, batch, criterion, context)
        under_faults = 0.0
        if self.method.p > 0 and context.memory.get(ACTIVE, 0.0):
            under_faults = self._averaged(module, batch, criterion, context)
        context.memory[ACTIVE] = float(self._goes_on(float(loss), under_faults))
        return loss

    def after_step(self, module: nn.Module, context: Context) -> None:
        if self.method.w_max is None:
            return
        with torch.no_grad():
            for parameter in self._stored.parameters.values():
                parameter.clamp_(-self.method.w_max, self.method.w_max)

    def finish(self, module: nn.Module, context: Context) -> State:
        return {name: torch.ones(()) for name in self._scales}

    def _store_scales_from_one(self, module: nn.Module) -> None:
        from campaign.networks.through import PlusOne

        kinds, held = parameter_kinds(module), self._stored.parameters
        self._scales = [n for n in held if kinds[n] == "norms" and n.endswith("weight")]
        for name in self._scales:
            held[name].data.sub_(1)
            parametrize(module, name, PlusOne())

    def _goes_on(self, clean: float, under_faults: float) -> bool:
        """Whether the next step sees faults; a loss that is no number ends them for one step."""
        threshold = self.method.threshold
        return clean < LENIENT * threshold and (clean + under_faults) / 2 <= threshold

    def _averaged(
        self, module: nn.Module, batch: Batch, criterion: Criterion, context: Context
    ) -> float:
        """The loss under faults; the gradients become the mean of both."""
        parameters = [each for each in module.parameters() if each.requires_grad]
        clean = [each.grad for each in parameters]
        for each in parameters:
            each.grad = None
        fixed = self.method.map_seed
        seed = step_seed(context) if fixed is None else fixed
        with self._stored.struck(self._fault, self.method.p, seed), buffers_kept(module):
            loss = super().step(module, batch, criterion, context)
        finite = bool(loss.isfinite())
        for each, gradient in zip(parameters, clean, strict=True):
            each.grad = self._mean(gradient, each.grad) if finite else gradient
        if finite:
            tell_faulty(context, float(loss))
        return float(loss)

    def _mean(self, clean: Tensor | None, faulty: Tensor | None) -> Tensor | None:
        if faulty is None:
            return clean
        bound = self.method.clamp
        clamped = faulty.nan_to_num(nan=0.0).clamp(-bound, bound)
        return clamped / 2 if clean is None else (clean + clamped) / 2

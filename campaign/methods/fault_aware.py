"""Fault-aware training: every step sees faults in the stored weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.faults import FAULTS, FaultModel
from campaign.lazy import torch
from campaign.methods.base import METHODS, Method
from campaign.methods.fitting import Batch, Context, Criterion, Fitting
from campaign.methods.stored_training import StoredParameters, kinds_stored, step_seed, tell_faulty

if TYPE_CHECKING:
    from torch import Tensor, nn

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@METHODS.register
@dataclass(frozen=True)
class FaultAwareTraining(Method):
    """Train on weights with bits flipped anew in each step; store them as they are.

    Weights are read from words of the number format, and learn straight through. Each step flips
    `flips` bits of all words together, or each bit with probability `ber`, and trains on what is
    read then. Cost: none.
    Source: Vinck et al., arXiv 2502.09374, for several flips an inference. Departs: faults lie in
    stored parameters and last for a step, none in activations, accumulators and biases of 32 bits;
    a step whose loss or gradient under faults is no finite number is taken without faults.

    Args:
        ber: Bit error rates, one of which each step draws.
        flips: Flip exactly so many bits in each step, in place of `ber`; null is by `ber`.
        clamp: Largest magnitude of a gradient; null clamps nothing.
        biases: Store and flip biases too.
        norms: Store and flip norms too.
        start: ``weights`` goes on from the network's weights, ``scratch`` trains it anew.
        recipe: Name of the recipe; None is the default one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "fault_aware"

    ber: Annotated[tuple[Probability, ...], Field(min_length=1)] = (0.001,)
    flips: Annotated[int, Field(ge=1, strict=True)] | None = None
    clamp: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    biases: bool = False
    norms: bool = False
    start: Literal["weights", "scratch"] = "weights"
    recipe: str | None = None

    def __post_init__(self) -> None:
        if self.flips is not None and self.ber != (0.001,):
            raise ValueError(f"got flips={self.flips} and ber={list(self.ber)}; take one of them")

    @property
    def fits(self) -> bool:
        return True

    @property
    def fits_format(self) -> bool:
        return True

    def fitting(self) -> Fitting:
        return FaultAwareFitting(self)

    @property
    def fault(self) -> FaultModel:
        """What draws the flips."""
        if self.flips is None:
            return FAULTS.make("bit_flip")
        return FAULTS.make("exact_flips", {"count": self.flips})


class FaultAwareFitting(Fitting):
    """Steps under faults.

    Args:
        method: Its options.
    """

    def __init__(self, method: FaultAwareTraining) -> None:
        self.method, self.fresh = method, method.start == "scratch"
        self._fault = method.fault

    def prepare(self, module: nn.Module, context: Context) -> None:
        assert context.fmt is not None
        kinds = kinds_stored(biases=self.method.biases, norms=self.method.norms)
        self._stored = StoredParameters(module, kinds, context.fmt)
        bits = sum(p.numel() for p in self._stored.parameters.values()) * context.fmt.width
        if self.method.flips is not None and self.method.flips > bits:
            raise ValueError(
                f"fault_aware: flips: got {self.method.flips}; allowed: up to the {bits} bits that "
                f"are stored in {context.fmt.label}"
            )

    def step(
        self, module: nn.Module, batch: Batch, criterion: Criterion, context: Context
    ) -> Tensor:
        loss = self._under_faults(module, batch, criterion, context)
        if loss is None:
            module.zero_grad()
            loss = super().step(module, batch, criterion, context)
        else:
            tell_faulty(context, float(loss))
        if (bound := self.method.clamp) is not None:
            for gradient in _gradients(module):
                gradient.clamp_(-bound, bound)
        return loss

    def _under_faults(
        self, module: nn.Module, batch: Batch, criterion: Criterion, context: Context
    ) -> Tensor | None:
        """The loss; None where it, a gradient or a running statistic is no finite number."""
        rates = self.method.ber
        rate = rates[int(torch.randint(len(rates), (), generator=context.generator))]
        held = [buffer.clone() for buffer in module.buffers()]
        with self._stored.struck(self._fault, rate, step_seed(context)):
            loss = super().step(module, batch, criterion, context)
        if all(bool(v.isfinite().all()) for v in (loss, *_gradients(module), *module.buffers())):
            return loss
        with torch.no_grad():
            for buffer, value in zip(module.buffers(), held, strict=True):
                buffer.copy_(value)
        return None


def _gradients(module: nn.Module) -> list[Tensor]:
    return [each.grad for each in module.parameters() if each.grad is not None]

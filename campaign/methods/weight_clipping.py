"""Weight clipping: no weight is stored or read beyond a fixed bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from campaign.formats.magnitude import largest_magnitude
from campaign.lazy import torch
from campaign.methods.base import METHODS, Method, State
from campaign.methods.fitting import Context, Fitting
from campaign.methods.none import Unprotected
from campaign.methods.range_clamp import within
from campaign.networks.raw import raw_parameters
from campaign.sources.parameters import parameter_kinds

if TYPE_CHECKING:
    from torch import Tensor, nn


@METHODS.register
@dataclass(frozen=True)
class WeightClipping(Method):
    """Clip weights to [-bound, bound] before they are stored; on read, repair what lies outside.

    A format with a fitted scale then spreads its codes over at most this range. Where it rounds a
    clipped weight beyond the bound, the range on read reaches to the stored value, so that a
    fault-free weight is never touched. NaN becomes 0. Where it is `trained`, weights and biases are
    clipped after each step of a training, and the network learns to do with them; norms and other
    parameters, whose scale is another one, are left as they are.
    Cost: one protected constant per tensor; per weight 3 operations to clamp (both ends, NaN), 2 to
    zero (magnitude, comparison).
    Source: Clipping of Stutz et al., MLSys 2021 (arXiv 2006.13977), which is `trained`; there norms
    are clipped too, as differences from 1.

    Args:
        bound: Largest magnitude, above 0, in units of the weight; published: 0.05 to 0.2.
        out_of_range: What is read beyond it: ``clamp`` to the nearer end, or ``zero``.
        trained: Clip in each step of a training, not once after it.
        recipe: Name of the recipe, where it is trained; None is the default one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "weight_clipping"
    pointwise: ClassVar[bool] = True

    bound: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    out_of_range: Literal["clamp", "zero"] = "clamp"
    trained: bool = False
    recipe: str | None = None

    def __post_init__(self) -> None:
        if self.recipe is not None and not self.trained:
            raise ValueError(f"recipe {self.recipe!r} needs trained: true, got trained: false")

    @property
    def fits(self) -> bool:
        return self.trained

    def fitting(self) -> Fitting:
        return ClippedFitting(self.bound)

    def recall(self, learnt: State, name: str) -> Method:
        return self if name in learnt else Unprotected()

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


class ClippedFitting(Fitting):
    """Projection onto [-bound, bound] after each step.

    Args:
        bound: Largest magnitude.
    """

    def __init__(self, bound: float) -> None:
        self.bound = bound
        self._clipped: dict[str, nn.Parameter] = {}

    def prepare(self, module: nn.Module, context: Context) -> None:
        kinds, held = parameter_kinds(module), raw_parameters(module)
        self._clipped = {n: held[n] for n, k in kinds.items() if k in ("weights", "biases")}
        warning = told_clipped(self._clipped, self.bound)
        context.warnings.extend([] if warning is None else [f"weight_clipping: {warning}"])
        self.after_step(module, context)

    def after_step(self, module: nn.Module, context: Context) -> None:
        with torch.no_grad():
            for parameter in self._clipped.values():
                parameter.clamp_(-self.bound, self.bound)

    def finish(self, module: nn.Module, context: Context) -> State:
        return {name: torch.tensor(self.bound) for name in self._clipped}


def told_clipped(
    parameters: Mapping[str, Tensor],
    bound: float | Mapping[str, float],
    advice: str = "a larger bound clips less",
) -> str | None:
    """How much lies beyond the bound where training starts; None where nothing does.

    Args:
        parameters: By their names.
        bound: Of all, or of each.
        advice: What can be done about it.
    """
    bounds = bound if isinstance(bound, Mapping) else dict.fromkeys(parameters, bound)
    beyond = {name: float((v.abs() > bounds[name]).sum()) for name, v in parameters.items()}
    if (many := sum(beyond.values())) == 0:
        return None
    share = many / sum(value.numel() for value in parameters.values())
    worst = max(beyond, key=lambda name: beyond[name] / parameters[name].numel())
    return (
        f"training starts with {share:.3%} of all weights clipped to {_range(bounds)}, "
        f"{beyond[worst] / parameters[worst].numel():.3%} of {worst}; {advice}"
    )


def _range(bounds: Mapping[str, float]) -> str:
    least, most = min(bounds.values()), max(bounds.values())
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"

"""Training of weights that a method saturates when they are stored, so that it finds none to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from campaign.lazy import torch
from campaign.methods.fitting import Context, Fitting
from campaign.methods.moments import State
from campaign.networks.raw import parametrize, raw_parameters
from campaign.sources.parameters import parameter_kinds

if TYPE_CHECKING:
    from torch import Tensor, nn

    from campaign.bits import Words
    from campaign.formats import NumberFormat

ROUNDS = 24
"""How often a weight is moved at most; a fitted scale is about halved each time."""

Adapt = Callable[["Words"], "Words"]
"""What a method stores instead of the words it is given."""


class Throttled(NamedTuple):
    """A weight after a move."""

    weight: Tensor
    moved: int
    """How many of its values were changed."""


def throttled(weight: Tensor, fmt: NumberFormat, adapt: Adapt) -> Throttled:
    """The weight with each value that `adapt` would change moved to what it is changed to.

    A moved value may have been the largest, to which a format fits its scale; the words of the
    others then change too, and are adapted anew until nothing changes.

    Args:
        weight: float32; left unchanged.
        fmt: Stores it.
        adapt: What is stored instead.

    Raises:
        ValueError: If next to nothing would be left of the weight.
    """
    held, moved = weight, torch.zeros_like(weight, dtype=torch.bool)
    for _ in range(ROUNDS):
        scale = fmt.calibrate(held)
        words = fmt.encode(held, scale)
        kept = adapt(words)
        changed = (words.data != kept.data).view(held.shape)
        if not bool(changed.any()):
            return Throttled(held, int(moved.sum()))
        held = torch.where(changed, fmt.decode(kept, scale), held)
        moved |= changed
    raise ValueError(
        "the values that may be large are next to nothing beside the others; leave out trained"
    )


class ThrottledFitting(Fitting):
    """Training with weights as they are stored, and the move of `throttled` after each step.

    Args:
        adapt: What is stored instead of words, in the number format of the training.
    """

    def __init__(self, adapt: Adapt) -> None:
        self._adapt = adapt
        self._weights: dict[str, nn.Parameter] = {}

    def prepare(self, module: nn.Module, context: Context) -> None:
        from campaign.networks.through import Through

        assert context.fmt is not None
        fmt, kinds, held = context.fmt, parameter_kinds(module), raw_parameters(module)
        self._weights = {name: held[name] for name, kind in kinds.items() if kind == "weights"}
        moved = self._move(fmt)
        total = sum(weight.numel() for weight in self._weights.values())
        if any(moved.values()):
            worst = max(moved, key=lambda name: moved[name] / self._weights[name].numel())
            context.warnings.append(
                f"in_place_ecc: training starts with {sum(moved.values()) / total:.3%} of all "
                f"weights made smaller, {moved[worst] / self._weights[worst].numel():.3%} of "
                f"{worst}, as {fmt.label} stores them"
            )
        for name in self._weights:
            parametrize(module, name, Through(lambda value: _read(value, fmt)))

    def after_step(self, module: nn.Module, context: Context) -> None:
        assert context.fmt is not None
        moved = self._move(context.fmt)
        if (context.step + 1) % context.steps == 0:
            context.metrics["weights_made_smaller"] = float(sum(moved.values()))

    def finish(self, module: nn.Module, context: Context) -> State:
        assert context.fmt is not None
        self._move(context.fmt)  # a method behind this one may have changed weights after it
        return {}

    def _move(self, fmt: NumberFormat) -> dict[str, int]:
        moved = {}
        with torch.no_grad():
            for name, weight in self._weights.items():
                try:
                    found = throttled(weight.detach(), fmt, self._adapt)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
                weight.copy_(found.weight)
                moved[name] = found.moved
        return moved


def _read(weight: Tensor, fmt: NumberFormat) -> Tensor:
    """The weight as `fmt` stores and reads it."""
    scale = fmt.calibrate(weight)
    return fmt.decode(fmt.encode(weight, scale), scale)

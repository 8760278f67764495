"""What the trained methods of a stack do in a training, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from campaign.lazy import torch
from campaign.methods import Method, State
from campaign.methods.fitting import Batch, Context, Criterion, Fitting
from campaign.networks.raw import only, raw_state
from campaign.networks.sites import Visit, in_turn

if TYPE_CHECKING:
    from torch import Tensor, nn

ALONE = ("step", "trained_parameters", "train_mode")
"""Moments that only one method of a stack may override."""


class Fittings:
    """The fittings of a stack.

    Args:
        methods: The trained methods of a stack, in its order.

    Raises:
        ValueError: If two of them want to do what only one can.
    """

    def __init__(self, methods: Sequence[Method]) -> None:
        self.each = [method.fitting() for method in methods]
        self._alone = {moment: self._owner(moment, methods) for moment in ALONE}

    @property
    def fresh(self) -> bool:
        """Whether training starts from an untrained network."""
        return any(fitting.fresh for fitting in self.each)

    @property
    def visit(self) -> Visit | None:
        """What is done at every site in training; the guards come in the order of the stack."""
        plain = Fitting.guard
        return in_turn([each.guard for each in self.each if type(each).guard is not plain])

    def prepare(self, module: nn.Module, context: Context) -> None:
        """Change the network, right to left; buffers and parameters keep their names."""
        for fitting in reversed(self.each):
            fitting.prepare(module, context)

    def train_mode(self, module: nn.Module) -> None:
        """Put the network into the mode of training."""
        self._alone["train_mode"].train_mode(module)

    def parameters(self, module: nn.Module) -> list[nn.Parameter]:
        """What the optimizer gets; the rest is frozen."""
        chosen = self._alone["trained_parameters"].trained_parameters(module)
        found = [*module.parameters()] if chosen is None else [*chosen]
        trained = {id(parameter) for parameter in found}
        for parameter in module.parameters():
            parameter.requires_grad_(id(parameter) in trained)
        return found

    def step(
        self, module: nn.Module, batch: Batch, criterion: Criterion, context: Context
    ) -> Tensor:
        """The loss of a batch; adds its gradients."""
        return self._alone["step"].step(module, batch, criterion, context)

    def after_step(self, module: nn.Module, context: Context) -> None:
        """Projections, left to right."""
        with torch.no_grad():
            for fitting in self.each:
                fitting.after_step(module, context)

    def finish(
        self, module: nn.Module, context: Context, names: Sequence[str]
    ) -> tuple[dict[str, Tensor], tuple[State, ...]]:
        """What is stored, by the `names` of the network, and what each method learnt.

        Raises:
            ValueError: If the prepared network has no such parameter or buffer.
        """
        with torch.no_grad():
            learnt = tuple(fitting.finish(module, context) for fitting in self.each)
            state: State = raw_state(module)
            for fitting in self.each:
                state = fitting.raw(state)
        return only(state, names), learnt

    def _owner(self, moment: str, methods: Sequence[Method]) -> Fitting:
        plain = getattr(Fitting, moment)
        owners = [
            (method.name, fitting)
            for method, fitting in zip(methods, self.each, strict=True)
            if getattr(type(fitting), moment) is not plain
        ]
        if len(owners) > 1:
            first, second = owners[0][0], owners[1][0]
            raise ValueError(
                f"{first} and {second} each train by a rule of their own ({moment}), and only one "
                "can; take one of them"
            )
        return owners[0][1] if owners else Fitting()

"""What a trained method does in a training: moments that are identities unless overridden."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from campaign.methods.moments import State
from campaign.networks.sites import Site

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from campaign.formats import NumberFormat


def _alone(loss: Tensor) -> Tensor:
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


Criterion: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"
"""The mean loss of logits (n, classes) and labels (n,), a scalar tensor."""


class Batch(NamedTuple):
    """Images of one step, on the device of the network."""

    inputs: Tensor
    """Normalised, float32 (n, channels, height, width)."""
    labels: Tensor
    """int64 (n,)."""


@dataclass
class Context:
    """What a training lends to its methods; one for the whole training.

    Args:
        seed: Of the training.
        fmt: The number format where the training depends on it, else None.
        device: Where the network is.
        steps: Steps of an epoch.
        forward: Logits of normalised images, float32, in the arithmetic of the recipe and with the
            `Fitting.guard` of every method.
        sample: The first training images, as many as asked for, as they are without augmentation.
        epoch: The running epoch, from 0.
        step: The running step, from 0, over all epochs.
        generator: On the CPU, seeded anew in each epoch; all that a method draws comes from it.
        epochs: Of the training, if it does not stop early.
        memory: Numbers that a method keeps from step to step; checkpoints hold them.
        metrics: Numbers of the running epoch that a method wants told, by name.
        warnings: What the user should know, one line each.
        backward: Adds the gradients of a loss of the batch to those of the parameters and gives the
            loss, without its graph; of several workers, each of which has a share of the batch,
            both are means over all of them.
    """

    seed: int
    fmt: NumberFormat | None
    device: torch.device
    steps: int
    forward: Callable[[nn.Module, Tensor], Tensor]
    sample: Callable[[int], Batch]
    generator: torch.Generator
    epochs: int = 1
    epoch: int = 0
    step: int = 0
    memory: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    backward: Callable[[Tensor], Tensor] = _alone


class Fitting:
    """What one method does in one training; may hold what it needs from moment to moment.

    Methods of a stack are prepared right to left and finished left to right, as a weight is read:
    what the rightmost makes of the stored weight is what the method before it gets. A training that
    goes on after a kill prepares the same network again and then loads its parameters and buffers,
    so what is learnt must be a parameter or buffer of the network or stand in `Context.memory`.
    """

    fresh: bool = False
    """Whether training starts from an untrained network, initialised by the seed."""

    def prepare(self, module: nn.Module, context: Context) -> None:
        """Change the network in place, once, before training: parametrize, add parameters.

        The raw parameters, see `campaign.networks.raw`, must keep the names and shapes of the
        network, or get them back in `finish`. It must do the same each time.

        Raises:
            ValueError: If the network cannot be trained so; the text names the parameter or layer.
        """

    def trained_parameters(self, module: nn.Module) -> Sequence[nn.Parameter] | None:
        """The parameters that the optimizer gets; None for all, which only one may override."""
        return None

    def train_mode(self, module: nn.Module) -> None:
        """Put the network into the mode of training; only one may override it."""
        module.train()

    def step(
        self, module: nn.Module, batch: Batch, criterion: Criterion, context: Context
    ) -> Tensor:
        """The loss of a batch, a scalar; its gradients are added to those of the parameters.

        Gradients are zero before it, and come from `Context.backward` alone. Only one method of a
        stack may override it.
        """
        return context.backward(criterion(context.forward(module, batch.inputs), batch.labels))

    def guard(self, site: Site, value: Tensor) -> Tensor:
        """What the network goes on with at a site, in training; differentiable."""
        return value

    def after_step(self, module: nn.Module, context: Context) -> None:
        """Change parameters in place after the optimizer: projections."""

    def finish(self, module: nn.Module, context: Context) -> State:
        """The constants that were learnt, by any names; asked once, when all is trained.

        Where constants belong to a parameter, begin their names with it and a slash. What `prepare`
        renamed or reshaped is answered by `raw`.
        """
        return {}

    def raw(self, state: State) -> State:
        """The stored parameters and buffers, from those of the prepared network.

        Args:
            state: As `campaign.networks.raw.raw_state` reads them, in the names of the network.
        """
        return state


def overriding(fittings: Sequence[Fitting], moment: str) -> Iterator[Fitting]:
    """The fittings whose class overrides `moment`."""
    plain = getattr(Fitting, moment)
    return (each for each in fittings if getattr(type(each), moment) is not plain)

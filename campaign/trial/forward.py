"""What a network answers, with guards and faults at the sites of its forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from campaign.lazy import torch
from campaign.networks.sites import Visit, in_turn, watched
from campaign.trial.arithmetic import arithmetic
from campaign.trial.evaluate import TestSet

if TYPE_CHECKING:
    from torch import Tensor, nn


class Forward(NamedTuple):
    """A network with what stands around it."""

    module: nn.Module
    """The live network."""
    visit: Visit | None = None
    """What guards do at every site."""
    logits_divisor: float = 1.0
    stored: Visit | None = None
    """What storing activations does at every site before the guards, where there is no fault."""
    compute: str = "fp32"
    """The arithmetic of the forward pass; see `campaign.trial.arithmetic`."""

    def answers(
        self,
        data: TestSet,
        images: range | None = None,
        faulty: Callable[[int], Visit] | None = None,
    ) -> Tensor:
        """Logits of images, float32 (n, classes), on the device of `data`.

        Args:
            data: The images.
            images: Which of them; all if None.
            faulty: Gives, for the place of the first image of a batch, what happens at every site
                before the guards, in place of `stored`.
        """
        images = range(len(data)) if images is None else images
        with torch.inference_mode():
            parts = [
                self.batch(
                    data.batch(start, images.stop), None if faulty is None else faulty(start)
                )
                for start in range(images.start, images.stop, data.batch_size)
            ]
            return torch.cat(parts)

    def gradients(self, data: TestSet, names: Sequence[str]) -> dict[str, Tensor]:
        """Gradient of the mean cross entropy over `data` by each parameter in `names`, float32.

        Args:
            data: The images, at least one.
            names: Parameters of the network; 0 for one that has no part in the answers.
        """
        parameters = dict(self.module.named_parameters())
        wanted = [parameters[name] for name in names]
        contiguous = torch.contiguous_format
        total = [torch.zeros_like(parameter, memory_format=contiguous) for parameter in wanted]
        with _differentiable(wanted), torch.enable_grad():
            for start in range(0, len(data), data.batch_size):
                labels = data.labels[start : start + data.batch_size]
                logits = self.batch(data.batch(start))
                loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
                found = torch.autograd.grad(loss / len(data), wanted, allow_unused=True)
                for held, gradient in zip(total, found, strict=True):
                    if gradient is not None:
                        held += gradient
        return dict(zip(names, total, strict=True))

    def batch(self, images: Tensor, before: Visit | None = None) -> Tensor:
        """Logits of normalised images, float32 (n, classes); `before` stands for `stored`."""
        first = self.stored if before is None else before
        visits = [visit for visit in (first, self.visit) if visit is not None]
        with watched(self.module, in_turn(visits)), arithmetic(self.compute, images.device.type):
            logits: Tensor = self.module(images).to(torch.float32)
        if self.logits_divisor == 1:
            return logits
        return (logits.double() / self.logits_divisor).to(torch.float32)


@contextmanager
def _differentiable(parameters: Sequence[Tensor]) -> Iterator[None]:
    try:
        for parameter in parameters:
            parameter.requires_grad_()
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)

"""Bounds of activations that a training learns: where they start and how they cut."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from campaign.lazy import torch
from campaign.methods.base import Method
from campaign.methods.fitting import Context, Fitting
from campaign.methods.moments import State
from campaign.networks.sites import Site, watched

if TYPE_CHECKING:
    from torch import Tensor, nn

OPERATIONS = 6
"""Of `softly_cut`, for a value: magnitude, difference, factor, sigmoid, product, comparison."""
BATCH = 256
"""Images of a profile that are in memory at a time."""

Apart = Callable[[int, int], bool]
"""Whether each neuron has a bound of its own: by the place of a site and the number of sites."""


def softly_cut(value: Tensor, bound: Tensor, steepness: float) -> Tensor:
    """The value times the sigmoid of ``steepness * (bound - |value|)``.

    For what a ReLU gives that is max(0, x - x sigmoid(k (x - bound))) of the publications: nearly x
    well below the bound, half of it at the bound, nearly 0 well above. Infinity gives 0, for which
    the published form has NaN; NaN stays.

    Args:
        value: Any float dtype, (images, ...).
        bound: float32, without a dimension or in the shape of an image's values.
        steepness: k, in 1 / activation.

    Example:
        >>> softly_cut(torch.tensor([0.5, 1.0, 2.0, torch.inf]), torch.tensor(1.0), 20.0)
        tensor([4.9998e-01, 5.0000e-01, 4.1223e-09, 0.0000e+00])
    """
    gate = torch.sigmoid((bound - value.abs()) * steepness)
    return torch.where(gate == 0, 0.0, value * gate).to(value.dtype)


class Bounds:
    """A bound for each activation of a network in training, as parameters of that network.

    Args:
        steepness: See `softly_cut`.
    """

    def __init__(self, steepness: float) -> None:
        self._steepness = steepness
        self.held: dict[int, nn.Parameter] = {}
        """Bounds by the place of their site."""

    def attach(self, module: nn.Module, inputs: Tensor, apart: Apart) -> None:
        """Let all bounds begin at the largest magnitudes over the `inputs`.

        Raises:
            ValueError: If the network has no activation, or one whose neurons cannot be told apart.
        """
        self.held = {
            place: torch.nn.Parameter(largest)
            for place, largest in sorted(_largest(module, inputs, apart).items())
        }
        for place, bound in self.held.items():
            module.register_parameter(f"activation_bound{place}", bound)

    def guard(self, site: Site, value: Tensor, trained: Collection[int] | None = None) -> Tensor:
        """The value as its bound cuts it; gradients reach bounds of `trained` places, or all."""
        bound = self.held.get(site.place) if site.kind == "activation" else None
        if bound is None:
            return value
        learns = trained is None or site.place in trained
        return softly_cut(value, bound if learns else bound.detach(), self._steepness)

    def penalty(self, place: int | None = None) -> Tensor:
        """The mean of squares of the bounds of a place, or its sum over all places."""
        chosen = self.held.values() if place is None else [self.held[place]]
        return torch.stack([bound.square().mean() for bound in chosen]).sum()

    def mean(self) -> float:
        """The mean over places of the mean bound."""
        means = [float(bound.detach().mean()) for bound in self.held.values()]
        return sum(means) / len(means)

    def constants(self) -> State:
        """What `LearntBounds.guard` needs."""
        return {str(place): bound.detach().clone() for place, bound in self.held.items()}


class LearntBounds(Method):
    """What methods share whose training learns bounds of activations and leaves the weights."""

    bounds_as_trained: ClassVar[bool] = True
    freezes_weights: ClassVar[bool] = True
    steepness: float

    @property
    def fits(self) -> bool:
        return True

    @property
    def guards(self) -> bool:
        return True

    def guard(self, site: Site, value: Tensor, seen: State) -> Tensor:
        bound = seen.get(str(site.place))
        if site.kind != "activation" or bound is None:
            return value
        return softly_cut(value, bound, self.steepness)

    def guard_operations(self, site: Site, count: int) -> int:
        return OPERATIONS * count if site.kind == "activation" else 0


class BoundsFitting(Fitting):
    """The training of `bounds`, and of nothing else.

    Args:
        steepness: See `softly_cut`.
    """

    def __init__(self, steepness: float) -> None:
        self.bounds = Bounds(steepness)

    def trained_parameters(self, module: nn.Module) -> Sequence[nn.Parameter]:
        return [*self.bounds.held.values()]

    def train_mode(self, module: nn.Module) -> None:
        module.eval()

    def finish(self, module: nn.Module, context: Context) -> State:
        return self.bounds.constants()


def _largest(module: nn.Module, inputs: Tensor, apart: Apart) -> dict[int, Tensor]:
    """The largest magnitude at each activation: of each neuron where they are `apart`, or of all.

    One image alone says how many activations there are, and what the shape of a neuron is.
    """
    module.eval()
    shapes = {site.place: value.shape[1:] for site, value in _activations(module, inputs[:1])}
    if not shapes:
        raise ValueError("the network has no activation whose bound could be trained")
    found: dict[int, Tensor] = {}
    for start in range(0, len(inputs), BATCH):
        for site, value in _activations(module, inputs[start : start + BATCH]):
            magnitude = value.abs().to(torch.float32)
            if apart(site.place, len(shapes)):
                _refuse_mixed(site, value, shapes[site.place])
                seen = magnitude.amax(0)
            else:
                seen = magnitude.max()
            found[site.place] = torch.maximum(found.get(site.place, seen), seen)
    return found


def _activations(module: nn.Module, inputs: Tensor) -> Iterator[tuple[Site, Tensor]]:
    found: list[tuple[Site, Tensor]] = []

    def look(site: Site, value: Tensor) -> Tensor:
        if site.kind == "activation":
            found.append((site, value.detach().clone()))
        return value

    with watched(module, look), torch.no_grad():
        module(inputs)
    return iter(found)


def _refuse_mixed(site: Site, value: Tensor, shape: torch.Size) -> None:
    if value.shape[1:] != shape:
        raise ValueError(
            f"{site.label}: the shape of its values behind the first dimension is "
            f"{[*value.shape[1:]]} for some images and {[*shape]} for one, so its neurons have no "
            "bounds of their own; use fitact with per: layer"
        )

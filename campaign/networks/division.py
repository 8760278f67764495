"""Where the constants of scaled weights are divided out, other than on each weight.

The weights stay c*W in the network. `carried` lets c grow along the layers and divides the logits;
`absorbed` lets the BatchNorm behind each layer undo it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from campaign.lazy import torch
from campaign.networks.graph import Traced, is_layer
from campaign.networks.scales import INSTEAD, cumulative_scales

if TYPE_CHECKING:
    from torch import Tensor, nn

PRECISION = 2.0**-23
"""Of a float32, relative to the number."""


class Division(NamedTuple):
    """What a network needs in order to answer as without the constants."""

    values: Mapping[str, Tensor]
    """New values of parameters and buffers, float32, by name."""
    logits_divisor: float


def carried(module: nn.Module, constants: Mapping[str, float]) -> Division:
    """Multiply each bias by the constants of all layers up to its own, divide the logits once.

    Source: Fuengfusin & Tamukoh, arXiv 2411.18993, figure 4.

    Args:
        module: The network in eval mode, with weights that are multiplied by `constants`.
        constants: c of each scaled parameter, by name.

    Raises:
        ValueError: If a function on the way does not pass a scale on, or a number leaves the range
            of float32; the text names the layer.
    """
    traced = Traced.of(module)
    scales = cumulative_scales(traced, constants)
    settled = _Settling(module)
    for path, scale in scales.layers.items():
        settled.multiply(path, "bias", torch.tensor(scale, dtype=torch.float64))
    return Division(settled.values, scales.output)


def absorbed(module: nn.Module, constants: Mapping[str, Tensor]) -> Division:
    """Let the BatchNorm behind each scaled layer take c in: running_mean * c and weight / c.

    That is (c x - c mean) / sqrt(var + eps) * (weight / c), the same as var * c^2 and eps * c^2
    without the square, which would overflow. The constant of the last layer divides the logits.

    Args:
        module: The network in eval mode, with weights that are multiplied by `constants`.
        constants: c of each scaled parameter by name, float64, one or one per output channel, with
            the dimensions of the parameter.

    Raises:
        ValueError: If no BatchNorm stands behind a layer that is not the last, or a number leaves
            the range of float32; the text names the layer.
    """
    traced, settled = Traced.of(module), _Settling(module)
    pairs = traced.pairs()
    rest = {}
    for name, c in constants.items():
        pair = pairs.get(name.rpartition(".")[0])
        if pair is None:
            rest[name] = _of_last_layer(name, c, traced)
            continue
        if c.numel() > 1 and getattr(module.get_submodule(pair.layer), "transposed", False):
            raise ValueError(f"{pair.layer}: channels of a transposed layer are no rows; {INSTEAD}")
        settled.multiply(pair.layer, "bias", c.flatten())
        settled.divide(pair.norm, "weight", c.flatten())
        settled.multiply(pair.norm, "running_mean", c.flatten())
    scales = cumulative_scales(traced, rest)
    for name, last in rest.items():
        settled.multiply(name.rpartition(".")[0], "bias", torch.tensor(last, dtype=torch.float64))
    return Division(settled.values, scales.output)


def _of_last_layer(name: str, c: Tensor, traced: Traced) -> float:
    """The constant of `name`, whose layer must be the last one."""
    path, layers = name.rpartition(".")[0], traced.layers()
    last = layers[-1:] == [path] and layers.count(path) == 1
    if not last or not is_layer(traced.module.get_submodule(path)):
        raise ValueError(
            f"{path}: no BatchNorm follows this layer directly and alone, and it is not the last "
            f"one; leave it out of targets, or {INSTEAD}"
        )
    if c.numel() > 1:
        raise ValueError(
            f"{path}: the logits are divided by one constant, not by one per channel; leave this "
            f"layer out of targets, or use per: layer, or {INSTEAD}"
        )
    return float(c)


class _Settling:
    """New values of what is not scaled itself; rounded to float32 once."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.names = {
            id(value): name for name, value in (*module.named_parameters(), *module.named_buffers())
        }
        self.values: dict[str, Tensor] = {}

    def multiply(self, path: str, leaf: str, c: Tensor) -> None:
        """Multiply ``path.leaf``, where there is one."""
        held = getattr(self.module.get_submodule(path), leaf)
        if held is not None:
            self._settle(f"{path}.{leaf}", held, torch.mul, c.to(held.device))

    def divide(self, path: str, leaf: str, c: Tensor) -> None:
        """Divide ``path.leaf``, which must be there."""
        held = getattr(self.module.get_submodule(path), leaf)
        if held is None:
            raise ValueError(f"{path}: this BatchNorm has no {leaf} to divide; {INSTEAD}")
        self._settle(f"{path}.{leaf}", held, torch.div, c.to(held.device))

    def _settle(
        self, path: str, held: Tensor, change: Callable[[Tensor, Tensor], Tensor], c: Tensor
    ) -> None:
        if not held.isfinite().all():
            raise ValueError(f"{path}: holds NaN or infinity; repair the checkpoint")
        before = held.detach().double()
        exact = change(before, c)
        value = exact.to(torch.float32)
        if held.numel():
            _refuse_inexact(path, exact, value, change(before.abs().max(), c))
        name = self.names.get(id(held))
        if name is None:
            raise ValueError(f"{path}: is computed anew in each pass; {INSTEAD}")
        if name in self.values and not torch.equal(self.values[name], value):
            raise ValueError(f"{path}: is shared by layers of different scales; {INSTEAD}")
        self.values[name] = value


def _refuse_inexact(path: str, exact: Tensor, value: Tensor, largest: Tensor) -> None:
    """Refuse numbers near either end of float32: they are infinite, 0, or short of digits.

    Each is measured by itself, for one channel may have a constant of its own. Those too small to
    matter beside the largest number of the layer may lose digits.

    Args:
        path: What they are of.
        exact: The numbers, float64, one a channel.
        value: The same in float32.
        largest: What the constant of each channel makes of the layer's largest number.
    """
    size = exact.abs()
    excess = (value.double() - exact).abs() - PRECISION * torch.maximum(size, PRECISION * largest)
    worst = int(excess.argmax())
    if not bool(excess[worst] <= 0):
        raise ValueError(
            f"{path}: would be {float(size[worst]):.3g} in channel {worst}, beyond float32; choose "
            f"t nearer to the largest weights, or {INSTEAD}"
        )

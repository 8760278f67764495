"""Raw parameters: what stands behind the parametrizations of a network, by its own names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")
_ORIGINAL = re.compile(r"(?P<owner>(?:.*\.)?)parametrizations\.(?P<leaf>[^.]+)\.original")


def raw_name(name: str) -> str:
    """The name that a parameter has without its parametrizations.

    Example:
        >>> raw_name("layer1.0.conv1.parametrizations.weight.original")
        'layer1.0.conv1.weight'
    """
    found = _ORIGINAL.fullmatch(name)
    return name if found is None else found["owner"] + found["leaf"]


def raw_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters by their names without parametrizations, and those of the parametrizations."""
    return {raw_name(name): value for name, value in module.named_parameters()}


def raw_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict of a network by its names without parametrizations, detached."""
    return {raw_name(name): value for name, value in module.state_dict().items()}


def parametrize(module: nn.Module, name: str, part: nn.Module, *, first: bool = False) -> None:
    """Let the network compute with ``part(parameter)``, behind what stands there already.

    Args:
        module: The network, changed in place.
        name: The parameter, without parametrizations.
        part: Gives a value of the same shape and dtype; its parameters are trained too.
        first: Put it before what stands there already.

    Raises:
        ValueError: If two layers share the parameter.
    """
    owner, _, leaf = name.rpartition(".")
    holder, parameter = module.get_submodule(owner), raw_parameters(module)[name]
    holders = [
        each for each in module.modules() for own in each._parameters.values() if own is parameter
    ]
    if len(holders) > 1:
        raise ValueError(f"{name}: {len(holders)} layers share it, so it cannot be parametrized")
    torch.nn.utils.parametrize.register_parametrization(holder, leaf, part)
    if first:
        parts = holder.get_submodule(f"parametrizations.{leaf}")
        assert isinstance(parts, torch.nn.ModuleList)
        parts.insert(0, parts.pop(-1))


def only(state: Mapping[str, T], names: Sequence[str]) -> dict[str, T]:
    """The entries of `state` that a network without parametrizations has.

    Raises:
        ValueError: If one is missing.
    """
    missing = sorted(set(names) - set(state))
    if missing:
        raise ValueError(f"the trained network has no {missing[0]}, which the model has")
    return {name: state[name] for name in names}

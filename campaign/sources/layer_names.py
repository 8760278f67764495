"""The parameters of a network and their kinds, before any weight is read."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from functools import lru_cache
from types import MappingProxyType

from campaign.errors import SetupError
from campaign.networks.fold import fold_batchnorm
from campaign.sources.base import ModelSource
from campaign.sources.parameters import empty_parameters, parameter_kinds


@lru_cache(maxsize=64)
def kinds_of(model: ModelSource, *, fold: bool = False) -> Mapping[str, str]:
    """Kind of every parameter by name, in the network's order; builds it, once in a process.

    Args:
        model: The network.
        fold: As it is with its BatchNorms folded.

    Raises:
        SetupError: If it cannot be built, or not folded.
    """
    # A callable of the user may look at its values, which meta tensors do not have.
    known = model.parameter_counts() is not None and not fold
    with empty_parameters() if known else nullcontext():
        module = model.build()
    try:
        return MappingProxyType(parameter_kinds(fold_batchnorm(module) if fold else module))
    except ValueError as error:
        raise SetupError(f"{model.label}: {error}") from None


def owner_of(parameter: str) -> str:
    """The layer that holds a parameter; a parameter of the network itself is a layer of its own.

    Example:
        >>> owner_of("layer1.0.conv1.weight"), owner_of("class_token")
        ('layer1.0.conv1', 'class_token')
    """
    return parameter.rpartition(".")[0] or parameter

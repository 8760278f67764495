"""Fold BatchNorm into the layer before it, as a deployed network has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campaign.lazy import torch
from campaign.networks.graph import Traced, is_batchnorm

if TYPE_CHECKING:
    from torch import Tensor, nn


def fold_batchnorm(module: nn.Module) -> nn.Module:
    """Fold every BatchNorm into the layer before it and put an identity in its place.

    W' = W g and b' = (b - mean) g + beta with g = gamma / sqrt(var + eps) are computed in float64
    and rounded once; a layer without a bias gets one. A BatchNorm that is never called stays.
    Source: Jacob et al., CVPR 2018, section 3.2.

    Args:
        module: The network with its trained weights; changed in place, and put into eval mode.

    Returns:
        `module`.

    Raises:
        ValueError: If a BatchNorm cannot be folded (the text names it), or the network cannot be
            traced; nothing is changed then.

    Example:
        >>> from torch import nn
        >>> fold_batchnorm(nn.Sequential(nn.Linear(2, 3, bias=False), nn.BatchNorm1d(3)))
        Sequential(
          (0): Linear(in_features=2, out_features=3, bias=True)
          (1): Identity()
        )
    """
    _refuse_unknown(module)
    if not any(is_batchnorm(part) for part in module.modules()):
        return module
    traced = Traced.of(module.eval())
    for node in traced.norms():
        reason = traced.alone(node)
        if reason is not None:
            raise ValueError(f"{node.target}: this BatchNorm cannot be folded: {reason}")
    for pair in traced.pairs().values():
        norm = module.get_submodule(pair.norm)
        _fold(module.get_submodule(pair.layer), norm)
        _replace(module, norm)
    return module


def _refuse_unknown(module: nn.Module) -> None:
    """Refuse what is a BatchNorm by name or descent and yet none that torch.nn defines."""
    family = torch.nn.modules.batchnorm._BatchNorm
    for path, part in module.named_modules():
        named = "batchnorm" in type(part).__name__.lower() or isinstance(part, family)
        if named and not is_batchnorm(part):
            raise ValueError(
                f"{path}: {type(part).__name__} is not a BatchNorm of torch.nn, so how to fold it "
                "is not known"
            )


def _fold(layer: nn.Module, norm: nn.Module) -> None:
    mean, variance = norm.running_mean, norm.running_var
    assert isinstance(mean, torch.Tensor)
    assert isinstance(variance, torch.Tensor)
    ones, zeros = torch.ones_like(mean), torch.zeros_like(mean)
    gamma, beta, bias = (
        found if isinstance(found, torch.Tensor) else usual
        for found, usual in ((norm.weight, ones), (norm.bias, zeros), (layer.bias, zeros))
    )
    eps = norm.eps
    assert isinstance(eps, float)
    gain = gamma.detach().double() / (variance.double() + eps).sqrt()  # (channels,)
    shift = (bias.detach().double() - mean.double()) * gain + beta.detach().double()
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    scaled = _by_channel(weight.detach().double(), gain, layer)
    with torch.no_grad():
        weight.copy_(scaled.to(weight.dtype))
    needs_grad = weight.requires_grad
    layer.bias = torch.nn.Parameter(shift.to(weight.dtype), requires_grad=needs_grad)


def _by_channel(weight: Tensor, gain: Tensor, layer: nn.Module) -> Tensor:
    """`weight` times the gain of the output channel that each entry belongs to."""
    if not getattr(layer, "transposed", False):
        return weight * gain.reshape(-1, *[1] * (weight.dim() - 1))
    # A transposed kernel is (in, out / groups, ...): group by group of its inputs.
    groups = layer.groups
    assert isinstance(groups, int)
    parts = weight.reshape(groups, -1, *weight.shape[1:])
    gains = gain.reshape(groups, 1, -1, *[1] * (weight.dim() - 2))
    return (parts * gains).reshape(weight.shape)


def _replace(module: nn.Module, norm: nn.Module) -> None:
    """Put an identity wherever `norm` hangs, for a module may hang in two places."""
    hangs = [p for p, m in module.named_modules(remove_duplicate=False) if m is norm]
    for path in hangs:
        owner, _, name = path.rpartition(".")
        setattr(module.get_submodule(owner), name, torch.nn.Identity())

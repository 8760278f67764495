"""Weights that lie in a file as int8 with a scale per output channel, as they were deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.errors import SetupError
from campaign.lazy import torch
from campaign.networks.graph import Traced

if TYPE_CHECKING:
    from torch import Tensor, nn

CODES, SCALE, BIAS = ".weight_int8", ".scale", ".bias"


def dequantised(tensors: Mapping[str, Tensor], model: nn.Module, path: Path) -> dict[str, Tensor]:
    """The tensors of a file with a float32 weight for each pair of int8 codes and scales.

    A weight is its code times the scale of its output channel, rounded once. Such networks have
    BatchNorm folded into weights and biases. So a BatchNorm that the file lacks passes values on as
    they are, and adds the bias of the layer directly before it, where that layer has none of its
    own.

    Args:
        tensors: By name; without codes they are given back as they are.
        model: The network that they are for.
        path: The file, for messages.

    Raises:
        SetupError: If codes have no scales or weight, or do not fit them, or if a bias has nowhere
            to go.
    """
    layers = [name.removesuffix(CODES) for name in tensors if name.endswith(CODES)]
    if not layers:
        return dict(tensors)
    _refuse_transposed(layers, model, path)
    expected = model.state_dict()
    taken = {layer + part for layer in layers for part in (CODES, SCALE, BIAS)}
    given = {name: held for name, held in tensors.items() if name not in taken}
    found = _neutral_norms(model, given)
    homeless: dict[str, Tensor] = {}
    for layer in layers:
        found[f"{layer}.weight"] = _weight(layer, tensors, expected, path)
        if layer + BIAS in tensors:
            own = layer + BIAS in expected
            (found if own else homeless)[layer + BIAS] = tensors[layer + BIAS].float()
    if homeless:
        found |= _in_norms(homeless, model, found, path)
    return {**found, **given}


def _refuse_transposed(layers: Sequence[str], model: nn.Module, path: Path) -> None:
    """Dimension 0 of their weights is not that of output channels."""
    for name, part in model.named_modules():
        if name in layers and getattr(part, "transposed", False):
            raise SetupError(
                f"weights: {path}: {name}{CODES}: scales of a {type(part).__name__} cannot be "
                "read; save its weight in float32"
            )


def _weight(
    layer: str, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path
) -> Tensor:
    where, codes, scale = f"weights: {path}: {layer}{CODES}", tensors[layer + CODES], layer + SCALE
    if f"{layer}.weight" not in expected:
        raise SetupError(
            f"{where} has no weight in the architecture; check architecture and prefix"
        )
    if f"{layer}.weight" in tensors:
        raise SetupError(f"{where} stands beside {layer}.weight; take one of them out")
    if codes.dtype != torch.int8 or codes.ndim < 1:
        kind = str(codes.dtype).removeprefix("torch.")
        raise SetupError(
            f"{where} is {kind} of {codes.ndim} dimensions, not int8 of output channels"
        )
    if scale not in tensors:
        raise SetupError(f"{where} has no {scale}; export one scale for each output channel")
    scales = tensors[scale].double()
    if scales.numel() != len(codes):
        raise SetupError(
            f"{where} has {len(codes)} output channels, {scale} has {scales.numel()} values; "
            "export one scale for each output channel"
        )
    return (codes.double() * scales.reshape(-1, *[1] * (codes.ndim - 1))).float()


def _neutral_norms(model: nn.Module, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What makes BatchNorms that the file lacks pass values on, by name."""
    found: dict[str, Tensor] = {}
    for path, part in model.named_modules():
        if not isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            continue
        own = {f"{path}.{name}": held for name, held in part.state_dict().items() if held.ndim}
        if any(name in given for name in own):
            continue
        for name, held in own.items():
            value = {"weight": 1.0, "running_var": 1.0 - part.eps}.get(name.rpartition(".")[2], 0.0)
            found[name] = torch.full(held.shape, value)
    return found


def _in_norms(
    biases: Mapping[str, Tensor], model: nn.Module, neutral: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """Biases of layers without one, as those of the BatchNorms that follow them."""
    try:
        pairs = Traced.of(model).pairs()
    except ValueError as error:
        raise SetupError(f"weights: {path}: biases of BatchNorm are not found: {error}") from None
    found: dict[str, Tensor] = {}
    for name, bias in biases.items():
        pair = pairs.get(name.removesuffix(BIAS))
        target = "" if pair is None else f"{pair.norm}.bias"
        if target not in neutral:
            raise SetupError(
                f"weights: {path}: {name} has nowhere to go: the layer has no bias, and no "
                "BatchNorm that the file lacks stands directly behind it; check architecture"
            )
        found[target] = bias
    return found

"""Weights that lie in a file as codes of a product quantiser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.errors import SetupError

if TYPE_CHECKING:
    from torch import Tensor

CODES, CODEBOOK = ".codes_matrix", ".codebook"
STATISTICS = (".running_mean", ".running_var")


def unpacked(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """The tensors of a file with a weight for each pair of codes and codebook.

    A weight is the rows of its codebook, (codes, values each), that its codes name, one after the
    other. Such networks have the statistics of BatchNorm folded into its weights and biases: where
    the file has none, they are those of `expected`, 0 and 1 in a new network.

    Args:
        tensors: By name; without codes they are given back as they are.
        expected: The state dict of the network that they are for, new.
        path: The file, for messages.

    Raises:
        SetupError: If codes have no codebook or weight, or do not fit them.

    Source: layout of Martinez et al., Permute, Quantize, and Fine-tune, arXiv 2010.15703.
    """
    layers = [name.removesuffix(CODES) for name in tensors if name.endswith(CODES)]
    if not layers:
        return dict(tensors)
    given = {name: held for name, held in tensors.items() if not name.endswith((CODES, CODEBOOK))}
    for layer in layers:
        given[f"{layer}.weight"] = _weight(layer, tensors, expected, path)
    folded = {name: held for name, held in expected.items() if name.endswith(STATISTICS)}
    return given if any(name in given for name in folded) else {**folded, **given}


def _weight(
    layer: str, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path
) -> Tensor:
    weight, book = expected.get(f"{layer}.weight"), tensors.get(layer + CODEBOOK)
    if weight is None or book is None:
        lacks = "codebook" if book is None else "weight in the architecture"
        raise SetupError(f"weights: {path}: {layer}{CODES} has no {lacks}; check architecture")
    codes = tensors[layer + CODES].reshape(-1).long()
    if not 0 <= int(codes.min()) <= int(codes.max()) < len(book):
        raise SetupError(f"weights: {path}: {layer}{CODES} goes beyond the {len(book)} codes")
    values = book.float()[codes]
    if values.numel() != weight.numel():
        raise SetupError(
            f"weights: {path}: {layer}{CODES} makes {values.numel()} weights, the architecture has "
            f"{weight.numel()}; check architecture"
        )
    return values.reshape(weight.shape)

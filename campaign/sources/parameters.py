"""Kinds of parameters, and the counting of known architectures.

``python -m campaign.sources.parameters`` rewrites parameter_counts.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from campaign.lazy import torch
from campaign.networks.raw import raw_parameters
from campaign.sources.architectures import ARCHITECTURES
from campaign.sources.known import COUNTS_FILE, KINDS

if TYPE_CHECKING:
    from torch import nn


def parameter_kinds(model: nn.Module) -> dict[str, str]:
    """Kind of every parameter of `model`, by name, in the order of ``named_parameters``.

    ``weights`` and ``biases`` are those of convolutions, linear layers and the projections of
    ``MultiheadAttention``; ``norms`` are scale and shift of normalisation layers; ``other`` is the
    rest (embeddings, tokens, layer scales). A parameter that is used twice counts once.

    Example:
        >>> from torch import nn
        >>> parameter_kinds(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3)))
        {'0.weight': 'weights', '0.bias': 'biases', '1.weight': 'norms', '1.bias': 'norms'}
    """
    kinds = {}
    for name in raw_parameters(model):
        owner, _, leaf = name.rpartition(".")
        kinds[name] = _kind(model.get_submodule(owner), leaf)
    return kinds


def scalars_by_kind(model: nn.Module) -> dict[str, int]:
    """How many scalars of each of `KINDS` the network has."""
    counts = dict.fromkeys(KINDS, 0)
    kinds = parameter_kinds(model)
    for name, parameter in model.named_parameters():
        counts[kinds[name]] += parameter.numel()
    return counts


def count_architecture(name: str) -> dict[str, Any]:
    """The entry of parameter_counts.json for one architecture."""
    classes = ARCHITECTURES[name].classes if name in ARCHITECTURES else 1000
    scalars, one_more = (scalars_by_kind(build_empty(name, n)) for n in (classes, classes + 1))
    slope = {kind: one_more[kind] - scalars[kind] for kind in KINDS}
    return {
        "classes": classes,
        "scalars": scalars,
        "per_class": {kind: count for kind, count in slope.items() if count},
        "macs": multiply_adds(build_empty(name, classes), image_shape(name)),
    }


def multiply_adds(module: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-adds of convolutions and matrix products for one image of (channels, h, w)."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        module.to("meta").eval()(torch.empty(1, *shape, device="meta"))
    return int(counter.get_total_flops()) // 2


def image_shape(name: str) -> tuple[int, int, int]:
    """The (channels, height, width) that a known architecture is made for."""
    from campaign.sources.torchvision_weights import CATALOGUE

    if name in ("digits_cnn", "digits_mlp"):
        return 1, 8, 8
    if name in ARCHITECTURES:
        return 3, 32, 32
    held = [weights for entry in CATALOGUE.values() for weights in entry["weights"].values()]
    side = next(int(weights["crop"]) for weights in held if weights["architecture"] == name)
    return 3, side, side


def build_empty(name: str, num_classes: int) -> nn.Module:
    """A known architecture with its parameters on the meta device: no memory, no time."""
    from campaign.sources.networks import build_network

    with empty_parameters():
        return build_network(name, num_classes)


@contextmanager
def empty_parameters() -> Iterator[None]:
    """Networks that are built inside have their parameters on the meta device."""
    module = torch.nn.Module
    register = module.register_parameter

    def register_empty(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
        # Not `with torch.device("meta")`: RegNet computes its widths with tensors.
        empty = None if param is None else torch.nn.Parameter(param.to("meta"))
        register(self, name, empty)

    module.register_parameter = register_empty  # type: ignore[method-assign]
    try:
        yield
    finally:
        module.register_parameter = register  # type: ignore[method-assign]


def _kind(owner: nn.Module, leaf: str) -> str:
    nn = torch.nn
    if isinstance(owner, nn.MultiheadAttention):
        projections = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
        return {"in_proj_bias": "biases", **dict.fromkeys(projections, "weights")}.get(
            leaf, "other"
        )
    if isinstance(owner, nn.modules.conv._ConvNd | nn.Linear):
        return {"weight": "weights", "bias": "biases"}.get(leaf, "other")
    # Libraries bring normalisation layers of their own, which all say so in their names.
    if "norm" in type(owner).__name__.lower() and leaf in ("weight", "bias"):
        return "norms"
    return "other"


def _write(entries: Mapping[str, Any]) -> None:
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(entries.items())]
    COUNTS_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main() -> None:
    """Count every architecture and rewrite parameter_counts.json."""
    from campaign.sources.torchvision_weights import CATALOGUE

    held = [weights for entry in CATALOGUE.values() for weights in entry["weights"].values()]
    names = [*ARCHITECTURES, *(weights["architecture"] for weights in held)]
    _write({name: count_architecture(name) for name in dict.fromkeys(names)})


if __name__ == "__main__":
    main()

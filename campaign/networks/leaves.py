"""What a graph of calls takes as a whole: layers of torch.nn, and ours that stand for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import fx, nn


def tracer() -> fx.Tracer:
    """A tracer of torch.fx that does not open a layer of ours."""

    class LayerTracer(torch.fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            """Whether the graph has one call for module `m`."""
            return is_own_layer(m) or super().is_leaf_module(m, module_qualified_name)

    return LayerTracer()


def is_own_layer(part: nn.Module | None) -> bool:
    """Whether `part` is a layer of ours that does what one of torch.nn does, padded otherwise."""
    from campaign.networks.same_padding import SamePaddedConv2d

    return type(part) is SamePaddedConv2d

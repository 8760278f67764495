"""The calls of a forward pass as a graph, and which BatchNorm follows which layer directly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from campaign.lazy import torch
from campaign.networks.leaves import is_own_layer, tracer

if TYPE_CHECKING:
    from torch import fx, nn

LAYERS = frozenset(f"{name}{d}d" for name in ("Conv", "ConvTranspose") for d in (1, 2, 3)) | {
    "Linear"
}
NORMS = frozenset({"BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"})
"""Classes of torch.nn that do what their names say; a subclass may do anything."""
_FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError),
    ValueError,
)
"""What code of a network raises that meets a traced value where it needs a number."""


class Pair(NamedTuple):
    """A layer, and the BatchNorm that alone takes what it gives; paths of modules."""

    layer: str
    norm: str


@dataclass(frozen=True)
class Traced:
    """A network and the graph of its calls; modules of torch.nn are nodes, all else is opened."""

    module: nn.Module
    graph: fx.Graph

    @classmethod
    def of(cls, module: nn.Module) -> Traced:
        """Trace `module`, which is left as it was.

        Raises:
            ValueError: If its forward pass depends on values, so that there is no one graph.
        """
        held = set(vars(module))
        try:
            return cls(module, tracer().trace(module))
        except _FAILURES as error:
            raise _untraceable(module, error) from None
        finally:
            for name in set(vars(module)) - held:  # constants that the tracer leaves behind
                delattr(module, name)

    def called(self, node: object) -> nn.Module | None:
        """The module that `node` calls; None where it is no call of a module."""
        if getattr(node, "op", None) != "call_module":
            return None
        return self.module.get_submodule(str(getattr(node, "target", "")))

    def layers(self) -> list[str]:
        """Paths of convolutions and linear layers in the order of their calls, with repeats."""
        return [str(node.target) for node in self.graph.nodes if is_layer(self.called(node))]

    def norms(self) -> Iterator[fx.Node]:
        """Calls of BatchNorm."""
        return (node for node in self.graph.nodes if is_batchnorm(self.called(node)))

    def pairs(self) -> dict[str, Pair]:
        """Layers with a BatchNorm that can take over what multiplies them, by path."""
        alone = [node for node in self.norms() if self.alone(node) is None]
        found = [Pair(str(n.all_input_nodes[0].target), str(n.target)) for n in alone]
        return {pair.layer: pair for pair in found}

    def alone(self, norm: fx.Node) -> str | None:
        """Why the BatchNorm at `norm` does not make a pair with a layer; None where it does."""
        part, before = self.called(norm), norm.args[0] if norm.args else None
        layer = self.called(before)
        if part is None or part.running_mean is None:
            return "it keeps no running statistics"
        if layer is None or not is_layer(layer):
            return "no convolution or linear layer stands directly before it"
        if self._calls[id(part)] > 1 or self._calls[id(layer)] > 1:
            return "it or the layer before it is called more than once"
        if len(getattr(before, "users", ())) > 1:
            return "what the layer before it gives is used elsewhere too"
        if not self._own(part) or not self._own(layer):
            return "it or the layer before it shares parameters"
        if part.num_features != getattr(layer, "out_channels", getattr(layer, "out_features", 0)):
            return "it has another number of channels than the layer before it"
        return None

    @cached_property
    def _calls(self) -> Counter[int]:
        parts = map(self.called, self.graph.nodes)
        return Counter(id(part) for part in parts if part is not None)

    @cached_property
    def _owners(self) -> Counter[int]:
        held = Counter(id(p) for m in self.module.modules() for p in m.parameters(recurse=False))
        read = (n.target for n in self.graph.nodes if n.op == "get_attr")
        everything = dict(self.module.named_parameters(remove_duplicate=False))
        held.update(id(everything[name]) for name in read if name in everything)
        return held

    def _own(self, part: nn.Module) -> bool:
        """Whether nobody else uses the parameters of `part`, and its weight is one of them."""
        own = dict(part.named_parameters(recurse=False))
        held = "weight" in own or getattr(part, "weight", None) is None
        return held and all(self._owners[id(p)] == 1 for p in own.values())


def is_layer(part: nn.Module | None) -> bool:
    """Whether `part` is a convolution or linear layer of torch.nn itself, or ours in its place."""
    return is_own_layer(part) or (type(part).__name__ in LAYERS and _from_torch(part))


def is_batchnorm(part: nn.Module | None) -> bool:
    """Whether `part` is a BatchNorm of torch.nn itself."""
    return type(part).__name__ in NORMS and _from_torch(part)


def where(node: fx.Node) -> str:
    """What errors call a node: the path of a module, or ``path:function`` inside one."""
    if node.op == "call_module":
        return str(node.target)
    stack = node.meta.get("nn_module_stack") or {}
    path = next((entry[0] for entry in reversed(stack.values())), "")
    return f"{path or 'forward'}:{function_name(node)}"


def function_name(node: fx.Node) -> str:
    """Name of the function or method that `node` calls, without marks of in-place use."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return str(name).strip("_") or str(node.target)


def _from_torch(part: nn.Module | None) -> bool:
    return isinstance(part, torch.nn.Module) and type(part).__module__.startswith("torch.nn.")


def _untraceable(module: nn.Module, error: Exception) -> ValueError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ValueError(f"the forward pass of {type(module).__name__} cannot be traced: {reason}")

"""By what constant every value of a forward pass is larger, when weights are stored larger.

With weights c*W a layer gives c times as much, C = c_1 * ... * c_l after l of them, as long as what
stands between them satisfies f(s x) = s f(x) for s > 0 and every bias is C times as large.
Source: Fuengfusin & Tamukoh, arXiv 2411.18993 (division at the logits).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from campaign.networks.graph import Traced, function_name, is_batchnorm, is_layer, where

if TYPE_CHECKING:
    from torch import fx, nn

_DIMENSIONED = (
    "MaxPool AvgPool AdaptiveMaxPool AdaptiveAvgPool Dropout ZeroPad ReflectionPad ReplicationPad "
    "CircularPad"
)
HOMOGENEOUS_MODULES = frozenset(
    f"{name}{d}d" for name in _DIMENSIONED.split() for d in (1, 2, 3)
) | frozenset("ReLU LeakyReLU PReLU Identity Dropout Flatten Unflatten ChannelShuffle".split())
HOMOGENEOUS_FUNCTIONS = frozenset(
    f"{name}_pool{d}d" for name in ("max", "avg", "adaptive_max", "adaptive_avg") for d in (1, 2, 3)
) | frozenset(
    "relu leaky_relu dropout pad flatten unflatten reshape view permute transpose squeeze "
    "unsqueeze mean sum contiguous clone getitem chunk split unbind flip".split()
)
"""f(s x) = s f(x) for s > 0."""
JOINS = frozenset("add iadd sub isub cat concat concatenate stack".split())
"""f(s x, s y) = s f(x, y)."""
GAINS = frozenset("mul imul truediv itruediv".split())
"""Homogeneous where the second argument is a number."""
SHAPES = frozenset("size dim numel shape ndim device dtype".split())
LARGEST = (2 - 2**-23) * 2.0**127
SMALLEST = 2.0**-126
"""The ends of normal float32 numbers, in which the network computes."""
INSTEAD = "use divide: layer"


class Scales(NamedTuple):
    """What multiplies the values of a network."""

    layers: Mapping[str, float]
    """By the path of the layer that gives them; one that is never called is left out."""
    output: float


def cumulative_scales(traced: Traced, factors: Mapping[str, float]) -> Scales:
    """Follow the factors of parameters through the network.

    Where nothing is scaled any function may stand.

    Args:
        traced: The network.
        factors: By parameter name, what its values are multiplied by; 1 where it is left out.

    Raises:
        ValueError: If a function does not pass a scale on, branches that join differ in theirs, or
            a scale leaves the range of float32; the text names the layer.
    """
    walk = _Walk(traced, factors)
    for node in traced.graph.nodes:
        walk.scales[node] = walk.scale_of(node)
    (output,) = (node for node in traced.graph.nodes if node.op == "output")
    return Scales(walk.layers, walk.scales[output] or 1.0)


class _Walk:
    """The scales of the nodes seen so far; None is no value of the network, such as a size."""

    def __init__(self, traced: Traced, factors: Mapping[str, float]) -> None:
        self.traced = traced
        self.scales: dict[fx.Node, float | None] = {}
        self.layers: dict[str, float] = {}
        # By identity, for the names of a shared parameter are several.
        self.held = {
            id(value): factors.get(name, 1.0) for name, value in traced.module.named_parameters()
        }
        self.read = {
            name: self.held[id(value)]
            for name, value in traced.module.named_parameters(remove_duplicate=False)
        }

    def scale_of(self, node: fx.Node) -> float | None:
        if node.op == "placeholder":
            return 1.0
        if node.op == "get_attr":
            return self._constant(node)
        part = self.traced.called(node)
        if part is not None and is_layer(part):
            return self._layer(node, part)
        if node.op == "output":
            return self._output(node)
        if part is None and _asks_shape(node):
            return None
        given = self._inputs(node.all_input_nodes)
        if part is None and not given and _is_arithmetic(node):
            return None
        inside = [] if part is None else [self.held[id(p)] for p in part.parameters()]
        if all(scale == 1 for scale in (*given, *inside)):
            return 1.0
        return self._passed(node, part, given, inside)

    def _inputs(self, nodes: Iterable[fx.Node]) -> list[float]:
        """Scales of those nodes that are values of the network."""
        return [scale for scale in map(self.scales.__getitem__, nodes) if scale is not None]

    def _constant(self, node: fx.Node) -> float:
        name = str(node.target)
        if name.startswith("_tensor_constant"):
            raise ValueError(f"{where(node)}: a constant made in forward; {INSTEAD}")
        return self.read.get(name, 1.0)

    def _layer(self, node: fx.Node, part: nn.Module) -> float:
        path, weight = str(node.target), part.weight
        if id(weight) not in self.held or len(node.all_input_nodes) != 1:
            raise ValueError(f"{path}: its weight is computed anew in each pass; {INSTEAD}")
        scale = (self.scales[node.all_input_nodes[0]] or 1.0) * self.held[id(weight)]
        if not SMALLEST <= scale <= LARGEST:
            raise ValueError(
                f"{path}: its output would be {scale:.3g} times as large, beyond float32; "
                f"choose t nearer to the largest weights, or {INSTEAD}"
            )
        if self.layers.setdefault(path, scale) != scale:
            raise ValueError(f"{path}: is called twice, at different scales; {INSTEAD}")
        return scale

    def _output(self, node: fx.Node) -> float:
        (answer,) = node.args
        scale = self.scales.get(answer) if hasattr(answer, "op") else None  # type: ignore[arg-type]
        if scale is None:
            raise ValueError(f"the network answers {type(answer).__name__}, not logits alone")
        return scale

    def _passed(
        self, node: fx.Node, part: nn.Module | None, given: list[float], inside: list[float]
    ) -> float:
        """The scale of what `node` gives for scaled values."""
        if is_batchnorm(part):
            raise ValueError(
                f"{where(node)}: BatchNorm does not pass a scale of its input on; set "
                "fold_batchnorm: true, or use divide: batchnorm or layer"
            )
        name = type(part).__name__ if part is not None else function_name(node)
        if part is None and name in JOINS and _joins_values(node):
            return _joined(node, given)
        homogeneous = _module_passes(part) if part is not None else _function_passes(node)
        if homogeneous and len(given) == 1 and all(factor == 1 for factor in inside):
            return given[0]
        raise ValueError(
            f"{where(node)}: {name} does not pass a scale of its input on, so the constants of "
            f"layers before it cannot be divided out behind it; {INSTEAD}"
        )


def _joined(node: fx.Node, given: list[float]) -> float:
    low, high = min(given), max(given)
    if math.isclose(low, high, rel_tol=1e-12):
        return low
    raise ValueError(
        f"{where(node)}: branches that are {low:.6g} and {high:.6g} "
        f"times as large meet here; {INSTEAD}"
    )


def _joins_values(node: fx.Node) -> bool:
    """Whether what `node` joins are values of the network, with no number among them."""
    terms = node.args[:2] if function_name(node).lstrip("i") in ("add", "sub") else node.args[:1]
    flat = [t for term in terms for t in (term if isinstance(term, list | tuple) else [term])]
    known = _origin(node) in ("torch", "_operator")
    return known and len(flat) > 1 and all(hasattr(term, "op") for term in flat)


def _module_passes(part: nn.Module) -> bool:
    known = type(part).__module__.startswith("torch.nn.")
    plain = not getattr(part, "return_indices", False) and not part.training
    return known and plain and type(part).__name__ in HOMOGENEOUS_MODULES


def _function_passes(node: fx.Node) -> bool:
    name, options = function_name(node), node.kwargs
    if _origin(node) not in ("torch", "_operator"):
        return False
    first = bool(node.args) and hasattr(node.args[0], "op")
    if name in GAINS:
        return first and len(node.args) == 2 and isinstance(node.args[1], int | float)
    if name == "dropout":
        return first and len(node.args) < 3 and options.get("training") is False
    if name == "pad":
        return first and len(node.args) < 4 and options.get("value") in (None, 0)
    return first and name in HOMOGENEOUS_FUNCTIONS and not options.get("return_indices", False)


def _origin(node: fx.Node) -> str:
    """The package that a called function is from; methods are those of tensors."""
    if node.op == "call_method":
        return "torch"
    return (getattr(node.target, "__module__", None) or "torch").split(".")[0]


def _asks_shape(node: fx.Node) -> bool:
    if function_name(node) == "getattr":
        return len(node.args) == 2 and node.args[1] in SHAPES
    return node.op == "call_method" and function_name(node) in SHAPES


def _is_arithmetic(node: fx.Node) -> bool:
    """Whether `node` is Python's own, and so gives a size for sizes."""
    return _origin(node) in ("_operator", "builtins", "math")

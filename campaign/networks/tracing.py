"""Tracing: a forward pass as pieces in order, each of which gives one value to all after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import methodcaller
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from campaign.lazy import torch
from campaign.networks.calls import intercepted
from campaign.networks.leaves import tracer

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.fx import Graph, Node

    from campaign.networks.sites import Watch

Held: TypeAlias = "dict[Node, Any]"
"""What each node gave, as long as a later one needs it."""


class UntraceableError(Exception):
    """The forward pass is not the same list of calls each time, or does more than to compute."""


class Step(NamedTuple):
    """One call of a forward pass."""

    node: Node
    call: Callable[..., Any]
    path: str
    """Path of the module whose line makes the call."""
    frees: tuple[Node, ...]
    """Nodes that no later step needs."""


@dataclass(frozen=True)
class Piece:
    """Successive steps that need one value of all that came before, and give one.

    Args:
        module: The traced network; its layers are called, its parameters and buffers read anew each
            time.
        takes: The node before the piece that it needs.
        gives: The one node that all after the piece needs.
        steps: The calls.
    """

    module: nn.Module
    takes: Node
    gives: Node
    steps: tuple[Step, ...]

    def __call__(self, value: Tensor, watch: Watch | None = None) -> Any:  # noqa: ANN401
        """What the piece gives for `value`; `watch` is told which module's lines are run."""
        held: Held = {self.takes: value}
        for step in self.steps:
            if watch is not None:
                watch.at(step.path)
            args, kwargs = self._filled((step.node.args, step.node.kwargs), held)
            held[step.node] = step.call(*args, **kwargs)
            for node in step.frees:
                held.pop(node, None)
        return held[self.gives]

    def joined(self, after: Piece) -> Piece:
        """This piece and the one that follows it as one."""
        return Piece(self.module, self.takes, after.gives, self.steps + after.steps)

    def reads(self) -> Iterator[Tensor]:
        """The live parameters and buffers that it reads."""
        for step in self.steps:
            if step.node.op == "call_module":
                layer = self.module.get_submodule(str(step.node.target))
                yield from (*layer.parameters(), *layer.buffers())
            for node in step.node.all_input_nodes:
                if node.op == "get_attr":
                    yield _attribute(self.module, node)

    def _filled(self, given: Any, held: Held) -> Any:  # noqa: ANN401
        """Arguments with values in the place of nodes."""

        def value(node: Node) -> Any:  # noqa: ANN401
            return _attribute(self.module, node) if node.op == "get_attr" else held[node]

        return torch.fx.map_arg(given, value)


def traced(module: nn.Module) -> list[Piece]:
    """The forward pass of `module` in as many pieces as can be.

    Layers of torch.nn are called as a whole, so that their own code and hooks run; lines of other
    modules become steps, in place or not, with the functions that they call.

    Args:
        module: A network that takes one tensor and gives one.

    Raises:
        UntraceableError: If it cannot be had as a list of calls that reads parameters and buffers
            anew each time.
        Exception: Whatever its lines raise for a stand-in of a tensor, such as torch.fx's
            TraceError where its control flow depends on data.
    """
    tracing = tracer()
    tracing.proxy_buffer_attributes = True  # else what is computed from buffers becomes a constant
    with _without_side_effects(module), _eager_mode():
        graph = tracing.trace(module)
    _check(module, graph)
    paths = _paths(module)
    scopes = {name: paths[scope] for name, (scope, _) in tracing.node_name_to_scope.items()}
    return list(_pieces(module, graph, scopes))


def _pieces(module: nn.Module, graph: Graph, scopes: dict[str, str]) -> Iterator[Piece]:
    """A piece ends wherever one node is all that is needed later."""
    nodes = [node for node in graph.nodes if node.op.startswith("call_")]
    (takes,) = (node for node in graph.nodes if node.op == "placeholder")
    frees = _frees(nodes, graph)
    live, steps = {takes} - set(frees.get(-1, ())), list[Step]()
    for place, node in enumerate(nodes):
        freed = tuple(frees.get(place, ()))
        steps.append(Step(node, _call(module, node), scopes[node.name], freed))
        live = (live | {node}) - set(freed)
        if len(live) == 1:
            (gives,) = live
            yield Piece(module, takes, gives, tuple(steps))
            takes, steps = gives, []


def _frees(nodes: list[Node], graph: Graph) -> dict[int, list[Node]]:
    """Which nodes are needed last by the call at a place; what nothing needs is freed at once."""
    (takes,) = (node for node in graph.nodes if node.op == "placeholder")
    last = {takes: -1} | {node: place for place, node in enumerate(nodes)}
    for place, node in enumerate([*nodes, graph.output_node()]):
        last |= {given: place for given in node.all_input_nodes if given.op != "get_attr"}
    found: dict[int, list[Node]] = {}
    for node, place in last.items():
        found.setdefault(place, []).append(node)
    return found


def _call(module: nn.Module, node: Node) -> Callable[..., Any]:
    if callable(node.target):
        return node.target
    if node.op == "call_module":
        return module.get_submodule(node.target)
    name = node.target
    return lambda owner, *args, **kwargs: methodcaller(name, *args, **kwargs)(owner)


def _attribute(module: nn.Module, node: Node) -> Any:  # noqa: ANN401
    return reduce(getattr, str(node.target).split("."), module)


def _paths(module: nn.Module) -> dict[str, str]:
    """The path that a site bears for each path of a module: a shared module has several."""
    first = {part: path for path, part in module.named_modules()}
    return {path: first[part] for path, part in module.named_modules(remove_duplicate=False)}


def _check(module: nn.Module, graph: Graph) -> None:
    """Refuse what has constants in place of parameters, or other than one tensor in and out."""
    live = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    live |= {name for name, _ in module.named_buffers(remove_duplicate=False)}
    read = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    if not read <= live:
        raise UntraceableError(f"tensors that are no parameters: {sorted(read - live)}")
    if sum(node.op == "placeholder" for node in graph.nodes) != 1:
        raise UntraceableError("the network does not take one tensor")
    given = graph.output_node().args[0]
    if not isinstance(given, torch.fx.Node) or not given.op.startswith("call_"):
        raise UntraceableError("the network does not give one tensor")


@contextmanager
def _without_side_effects(module: nn.Module) -> Iterator[None]:
    """Refuse a forward pass that keeps something on a module, and take it off again."""
    parts = [(part, dict(vars(part)), _inside(part)) for part in module.modules()]
    try:
        yield
    finally:
        changed = [held for held in parts if not _identical(_inside(held[0]), held[2])]
        for part, before, _ in changed:
            vars(part).clear()
            vars(part).update(before)
    if changed:
        raise UntraceableError(f"{type(changed[0][0]).__name__} keeps something of a forward pass")


def _inside(part: nn.Module) -> dict[str, object]:
    """Everything that a module holds, by name."""
    found = dict(vars(part))
    for name, held in vars(part).items():
        if isinstance(held, dict):
            found |= {f"{name}.{key}": each for key, each in held.items()}
    return found


def _identical(one: dict[str, object], other: dict[str, object]) -> bool:
    return one.keys() == other.keys() and all(one[name] is other[name] for name in one)


def _eager_mode() -> AbstractContextManager[object]:
    """Refuses to compute on real tensors: a trace would hold the result for good."""

    def call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        proxies = list[object]()

        def note(given: Any) -> Any:  # noqa: ANN401
            proxies.extend([given] if isinstance(given, torch.fx.Proxy) else [])
            return given

        torch.fx.node.map_aggregate((args, kwargs), note)
        if not proxies and getattr(func, "__name__", "") != "__get__":
            raise UntraceableError(f"{func} is computed once, not in each forward pass")
        return func(*args, **kwargs)

    return intercepted(call)

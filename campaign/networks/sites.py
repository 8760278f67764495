"""Sites: the places of a forward pass where a value can be seen and changed.

A site is a call of a layer (convolution, linear) or of an activation function, whether a module
makes it or a line of ``forward``. A module that is used twice has two sites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from campaign.lazy import torch
from campaign.networks.calls import intercepted

if TYPE_CHECKING:
    from torch import Tensor, nn

LAYERS = frozenset(f"{name}{d}d" for name in ("conv", "conv_transpose") for d in (1, 2, 3)) | {
    "linear",
    "multi_head_attention_forward",
}
ACTIVATIONS = frozenset(
    "relu relu6 hardtanh leaky_relu prelu rrelu elu selu celu gelu silu mish hardswish softplus "
    "threshold".split()
)
"""Functions that do not bound what they give, on at least one side, and those that may stand in
for them; a sigmoid or tanh is bounded by itself."""


class Site(NamedTuple):
    """A place of a forward pass.

    Example:
        >>> Site("activation", 0, "layer1.0.relu", "relu").label
        'layer1.0.relu:relu'
    """

    kind: Literal["layer", "activation"]
    place: int
    """Place among the sites of its kind, in the order of the forward pass."""
    module: str
    """Path of the innermost module that makes the call; empty for the network itself."""
    function: str
    """Name of the function, such as ``conv2d`` or ``relu``."""

    @property
    def label(self) -> str:
        """Module and function."""
        return f"{self.module}:{self.function}"


Visit: TypeAlias = "Callable[[Site, Tensor], Tensor]"
"""Takes the output of a site, of shape (images, ...), and gives what the network goes on with."""


class Watch:
    """Where a forward pass is; whoever runs parts of a network without the network tells it."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.counts = {"layer": 0, "activation": 0}

    def resume(self, before: Mapping[str, int]) -> None:
        """Count on from the sites that came `before` in the pass, by kind."""
        self.counts = {kind: before[kind] for kind in self.counts}

    def at(self, path: str) -> None:
        """Calls that no module makes from here on are lines of the module at `path`."""
        self.path = [path]

    def entering(self, path: str) -> Callable[[nn.Module, Any], None]:
        """A hook before the module at `path`."""

        def enter(part: nn.Module, given: Any) -> None:  # noqa: ANN401
            if not path:
                self.path, self.counts = [], dict.fromkeys(self.counts, 0)
            self.path.append(path)

        return enter

    def leaving(self, part: nn.Module, given: Any, output: Any) -> None:  # noqa: ANN401
        """A hook behind any module."""
        if self.path:
            self.path.pop()

    def site(self, function: Any) -> Site | None:  # noqa: ANN401
        """The site that a call of `function` is, now counted; None where it is none."""
        kind = _kind(function)
        if kind is None or not self.path:
            return None
        self.counts[kind] += 1
        name = function.__name__.rstrip("_")
        return Site(kind, self.counts[kind] - 1, self.path[-1], name)


@contextmanager
def watched(module: nn.Module, visit: Visit | None) -> Iterator[Watch | None]:
    """Call `visit` at every site of every forward pass of `module` inside the block.

    Works on any network whose forward pass is the same each time; nothing is traced or copied. With
    None nothing is done. Inside a fused attention layer there is one site, its output.

    Args:
        module: The network; its hooks are taken off again.
        visit: Gets each site and its output.

    Yields:
        Whom to tell where a pass is that runs parts of `module`; None where nothing is done.
    """
    if visit is None:
        yield None
        return
    watch, hooks = Watch(), []
    for path, part in module.named_modules():
        hooks.append(part.register_forward_pre_hook(watch.entering(path)))
        hooks.append(part.register_forward_hook(watch.leaving, always_call=True))
    try:
        with _intercepting(visit, watch):
            yield watch
    finally:
        for hook in hooks:
            hook.remove()


def in_turn(visits: Sequence[Visit]) -> Visit | None:
    """One visit that makes all of `visits` in their order; None where there are none."""
    if not visits:
        return None

    def visit(site: Site, value: Tensor) -> Tensor:
        for each in visits:
            value = each(site, value)
        return value

    return visit


def _intercepting(visit: Visit, watch: Watch) -> AbstractContextManager[object]:
    """Gives `visit` every site."""

    def call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        site = watch.site(func)
        if site is None:
            return func(*args, **kwargs)
        return _visited(site, visit, func, args, kwargs)

    return intercepted(call)


def _visited(
    site: Site,
    visit: Visit,
    func: Any,  # noqa: ANN401
    args: Any,  # noqa: ANN401
    kwargs: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """What the network gets for a call that is a site."""
    given: Any = args[0] if args else None
    if site.kind == "activation" and given is not None and torch.is_grad_enabled():
        # What a call in place writes over is what its gradient needs.
        args = (given.clone(), *args[1:])
    output = func(*args, **kwargs)
    if isinstance(output, tuple):
        return visit(site, output[0]), *output[1:]
    in_place = bool(args) and output is args[0]
    changed = visit(site, output)
    return given.copy_(changed) if in_place and changed is not given else changed


def _kind(func: Any) -> Literal["layer", "activation"] | None:  # noqa: ANN401
    name = getattr(func, "__name__", "").rstrip("_")
    if name in LAYERS:
        return "layer"
    return "activation" if name in ACTIVATIONS else None

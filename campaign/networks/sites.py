"""Sites: the places of a forward pass where a value can be seen and changed.

A site is a call of a layer (convolution, linear) or of an activation function, whether a module
makes it or a line of ``forward``. A module that is used twice has two sites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from campaign.lazy import torch

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


@contextmanager
def watched(module: nn.Module, visit: Visit | None) -> Iterator[None]:
    """Call `visit` at every site of every forward pass of `module` inside the block.

    Works on any network whose forward pass is the same each time; nothing is traced or copied. With
    None nothing is done. Inside a fused attention layer there is one site, its output.

    Args:
        module: The network; its hooks are taken off again.
        visit: Gets each site and its output.
    """
    if visit is None:
        yield
        return
    calls = _Calls(visit)
    hooks = []
    for path, part in module.named_modules():
        hooks.append(part.register_forward_pre_hook(calls.entering(path)))
        hooks.append(part.register_forward_hook(calls.leaving, always_call=True))
    try:
        with _intercepting(calls):
            yield
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


class _Calls:
    """Where a forward pass is, and what its calls meet."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.path: list[str] = []
        self.counts = {"layer": 0, "activation": 0}

    def entering(self, path: str) -> Callable[[nn.Module, Any], None]:
        def enter(part: nn.Module, given: Any) -> None:  # noqa: ANN401
            if not path:
                self.path, self.counts = [], dict.fromkeys(self.counts, 0)
            self.path.append(path)

        return enter

    def leaving(self, part: nn.Module, given: Any, output: Any) -> None:  # noqa: ANN401
        if self.path:
            self.path.pop()

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """What the network gets for a call of a torch function."""
        kind = _kind(func) if self.path else None
        if kind is None:
            return func(*args, **kwargs)
        given: Any = args[0] if args else None
        if kind == "activation" and given is not None and torch.is_grad_enabled():
            # What a call in place writes over is what its gradient needs.
            args = (given.clone(), *args[1:])
        output = func(*args, **kwargs)
        in_place = bool(args) and output is args[0]
        site = Site(kind, self.counts[kind], self.path[-1], func.__name__.rstrip("_"))
        self.counts[kind] += 1
        if isinstance(output, tuple):
            return self.visit(site, output[0]), *output[1:]
        changed = self.visit(site, output)
        return given.copy_(changed) if in_place and changed is not given else changed


def _intercepting(calls: _Calls) -> AbstractContextManager[object]:
    """Gives `calls` every torch function; the class is made here, for torch is imported late."""
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self,
            func: Any,  # noqa: ANN401
            types: Any,  # noqa: ANN401
            args: Any = (),  # noqa: ANN401
            kwargs: Any = None,  # noqa: ANN401
        ) -> Any:  # noqa: ANN401
            return calls.call(func, args, kwargs or {})

    mode: AbstractContextManager[object] = Mode()
    return mode


def _kind(func: Any) -> Literal["layer", "activation"] | None:  # noqa: ANN401
    name = getattr(func, "__name__", "").rstrip("_")
    if name in LAYERS:
        return "layer"
    return "activation" if name in ACTIVATIONS else None

"""Every call of a torch function, handed to whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

Call: TypeAlias = "Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]"
"""Takes a torch function with its arguments and gives what its caller gets."""


def intercepted(call: Call) -> AbstractContextManager[object]:
    """Inside the block, `call` stands for every torch function; what it calls itself goes past it.

    Args:
        call: Gets the function, its arguments and its keyword arguments.
    """
    # The class is made here, for torch is imported late.
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self,
            func: Any,  # noqa: ANN401
            types: Any,  # noqa: ANN401
            args: Any = (),  # noqa: ANN401
            kwargs: Any = None,  # noqa: ANN401
        ) -> Any:  # noqa: ANN401
            return call(func, args, kwargs or {})

    mode: AbstractContextManager[object] = Mode()
    return mode

"""Heavy libraries, imported at their first use, so that reading a spec takes no seconds.

Modules say ``from campaign.lazy import torch`` and use the name as usual.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any


class LazyModule(ModuleType):
    """A module that is imported when one of its attributes is first read.

    Example:
        >>> LazyModule("math").pi
        3.141592653589793
    """

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("__"):  # asked by doctest and inspect of any module; no reason to import
            raise AttributeError(name)
        module = importlib.import_module(self.__name__)
        self.__dict__.update(module.__dict__)
        return getattr(module, name)


if TYPE_CHECKING:
    import numpy as np
    import torch
else:
    np = LazyModule("numpy")
    torch = LazyModule("torch")

__all__ = ["LazyModule", "np", "torch"]

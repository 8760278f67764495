"""What weights are loaded into: our architectures, torchvision's, or a callable of the user."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from campaign.errors import SetupError
from campaign.lazy import torch
from campaign.registry import nearest
from campaign.sources.architectures import ARCHITECTURES, build_named
from campaign.sources.cache import combined_digest, file_digest
from campaign.sources.known import KNOWN

if TYPE_CHECKING:
    from torch import nn

CALLABLE = re.compile(r"(?P<module>[^:]+):(?P<function>[A-Za-z_]\w*)")
TORCHVISION = "torchvision/"
WITH_AUXILIARY_CLASSIFIERS = ("googlenet", "inception_v3")


def known_architectures() -> list[str]:
    """Every name that needs no code of the user."""
    return sorted({*ARCHITECTURES, *KNOWN})


def is_callable(name: str) -> bool:
    """Whether `name` stands for code of the user.

    Example:
        >>> is_callable("resnet20"), is_callable("mine/net.py:make")
        (False, True)
    """
    return name not in known_architectures() and CALLABLE.fullmatch(name) is not None


def check_architecture(name: str) -> None:
    """Raise ValueError, with the nearest known name, if `name` means nothing; imports nothing."""
    known = known_architectures()
    if name not in known and CALLABLE.fullmatch(name) is None:
        raise ValueError(
            f"unknown architecture {name!r}{nearest(name, known)}; allowed: "
            f"{', '.join(sorted(ARCHITECTURES))}, torchvision/<name>, module:callable or "
            "file.py:callable"
        )


def architecture_digest(name: str, num_classes: int | None) -> str:
    """Fingerprint of what `name` builds; of a user's callable, the source file counts."""
    match = CALLABLE.fullmatch(name)
    if match is None:
        return combined_digest(name, num_classes)
    source = _source(match["module"])
    return combined_digest(match["function"], num_classes, file_digest(source))


def build_network(name: str, num_classes: int | None = None) -> nn.Module:
    """The untrained network that `name` means, in eval mode on the CPU.

    Args:
        name: One of `known_architectures`, ``module:callable`` or ``file.py:callable``; a callable
            is called with ``num_classes=`` where that is given, else with nothing.
        num_classes: Outputs; None leaves the architecture's own number.

    Raises:
        SetupError: If the callable cannot be imported or gives no network.
    """
    with quiet_rng():
        if name in ARCHITECTURES:
            model = build_named(name, num_classes)
        elif name.startswith(TORCHVISION):
            model = build_torchvision(name.removeprefix(TORCHVISION), num_classes=num_classes)
        else:
            model = _build_callable(name, num_classes)
    return model.eval()


def build_torchvision(name: str, num_classes: int | None = None) -> nn.Module:
    """A torchvision classification network without weights.

    ``vit_b_16@384`` is a vision transformer for images of 384 pixels. The auxiliary classifiers of
    googlenet and inception_v3 are left out: inference never uses them.
    """
    from torchvision import models

    network, _, size = name.partition("@")
    options: dict[str, object] = {"image_size": int(size)} if size else {}
    if num_classes is not None:
        options["num_classes"] = num_classes
    if network in WITH_AUXILIARY_CLASSIFIERS:
        options |= {"aux_logits": False, "init_weights": False}
    model: nn.Module = models.get_model(network, weights=None, **options)
    return model


@contextmanager
def quiet_rng() -> Iterator[None]:
    """Leave torch's global CPU generator as it was."""
    with torch.random.fork_rng(devices=[]):
        yield


def _source(module: str) -> Path:
    """The file that defines `module`, a dotted name or a path that ends in .py."""
    if module.endswith(".py"):
        return Path(module).expanduser()
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is None or found.origin is None:
        raise SetupError(
            f"architecture: there is no module {module!r}; install it, put its folder on "
            "PYTHONPATH, or give a file as path/to/file.py:callable"
        )
    return Path(found.origin)


def _build_callable(name: str, num_classes: int | None) -> nn.Module:
    match = CALLABLE.fullmatch(name)
    assert match is not None  # checked when the source was made
    module = _import(match["module"])
    function: Callable[..., nn.Module] | None = getattr(module, match["function"], None)
    if not callable(function):
        raise SetupError(f"architecture {name}: the module has no callable {match['function']!r}")
    with _told_in_a_line(name):
        model = function() if num_classes is None else function(num_classes=num_classes)
    if not isinstance(model, torch.nn.Module):
        raise SetupError(f"architecture {name}: gave {type(model).__name__}, not a torch.nn.Module")
    return model


def _import(module: str) -> ModuleType:
    path = _source(module)
    if not module.endswith(".py"):
        with _told_in_a_line(module):
            return importlib.import_module(module)
    name = f"campaign_architecture_{combined_digest(str(path.resolve()))[:16]}"
    found = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or found is None or found.loader is None:
        raise SetupError(f"architecture: {path}: no such file")
    loaded = importlib.util.module_from_spec(found)
    sys.modules[name] = loaded
    with _told_in_a_line(module):
        found.loader.exec_module(loaded)
    return loaded


@contextmanager
def _told_in_a_line(name: str) -> Iterator[None]:
    """Errors of the user's own code as one line that names the place in it."""
    try:
        yield
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        kind = type(error).__name__
        raise SetupError(f"architecture {name}: {kind} at {where}: {error}") from error

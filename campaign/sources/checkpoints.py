"""Weight files -> numpy arrays in the names of the network they are for."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.errors import SetupError
from campaign.lazy import np, torch
from campaign.sources.cache import combined_digest
from campaign.sources.packed import unpacked
from campaign.sources.quantised import dequantised

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

NESTS = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which training scripts keep the tensors."""
SHOWN = 4
"""Names that a message lists."""
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Classifiers of googlenet and inception_v3 that serve training alone."""


def as_arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    """Tensors as numpy arrays; floating point as float32, in which networks compute."""
    arrays = {}
    for name, tensor in tensors.items():
        held = tensor.detach().cpu()
        arrays[name] = (held.float() if held.is_floating_point() else held).numpy()
    return arrays


def arrays_digest(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """sha256 (hex) of names, types, shapes and contents, in the order of the names."""
    parts = []
    for name, array in sorted(arrays.items()):
        content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        parts.append([name, array.dtype.str, list(array.shape), content])
    return combined_digest(*parts)


def read_checkpoint(path: Path, key: str | None = None) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pt or .pth file, by name.

    Args:
        path: The file. Pickles are read with ``weights_only``: they run no code.
        key: Where in the file the tensors are; None looks for them under the usual keys.

    Raises:
        SetupError: If the file cannot be read, or holds no tensors there.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise SetupError(f"weights: {path}: {error.strerror or error}") from None
    except pickle.UnpicklingError:
        raise SetupError(
            f"weights: {path}: is no state dict of tensors alone, and other pickles are not read; "
            "save it anew with torch.save(model.state_dict(), path)"
        ) from None
    except Exception as error:
        if type(error).__name__ not in ("SafetensorError", "RuntimeError", "EOFError"):
            raise
        raise SetupError(f"weights: {path}: unreadable ({error}); check the download") from None
    return _unnest(held, path, key)


def fit_names(
    tensors: Mapping[str, Tensor], model: nn.Module, *, path: Path, prefix: str = ""
) -> dict[str, Tensor]:
    """`tensors` in the names and shapes of `model`'s state dict.

    `prefix`, else ``module.`` of DataParallel, is taken off where every name has it. Counters of
    BatchNorm that are missing are filled in, codes of a product quantiser are looked up, integers
    are multiplied by their scales.

    Raises:
        SetupError: If names or shapes differ; the first few are listed.
    """
    expected = model.state_dict()
    given = unpacked(_without_prefix(tensors, prefix, path), expected, path)
    given = dequantised(given, model, path)
    counters = {n: t for n, t in expected.items() if n.endswith("num_batches_tracked")}
    given = {**{n: t for n, t in counters.items() if n not in given}, **given}
    given = {n: t for n, t in given.items() if n in expected or not n.startswith(AUXILIARY)}
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected]
    if missing or unexpected:
        raise SetupError(
            f"weights: {path} does not fit the architecture: {_listed('missing', missing)}, "
            f"{_listed('unexpected', unexpected)}; check architecture, key and prefix"
        )
    return {name: _shaped(given[name], tensor, name, path) for name, tensor in expected.items()}


def _shaped(given: Tensor, expected: Tensor, name: str, path: Path) -> Tensor:
    if given.shape == expected.shape:
        return given
    if expected.ndim == 0 and given.numel() == 1:
        return given.reshape(())  # counters of old files have one dimension
    raise SetupError(
        f"weights: {path}: {name} is {tuple(given.shape)} in the file, {tuple(expected.shape)} in "
        "the network; check architecture and num_classes"
    )


def _unnest(held: object, path: Path, key: str | None) -> dict[str, Tensor]:
    keys = [key] if key is not None else [None, *NESTS]
    for place in keys:
        found = held if place is None else held.get(place) if isinstance(held, dict) else None
        if isinstance(found, dict) and found and all(_is_tensor(value) for value in found.values()):
            return found
    where = f"under {key!r}" if key is not None else f"at the top or under {', '.join(NESTS)}"
    there = f"keys: {', '.join(map(str, list(held)[:SHOWN]))}" if isinstance(held, dict) else "none"
    raise SetupError(f"weights: {path} holds no dict of tensors {where} ({there}); set key")


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def _without_prefix(tensors: Mapping[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    taken = prefix or "module."
    if all(name.startswith(taken) for name in tensors):
        return {name.removeprefix(taken): tensor for name, tensor in tensors.items()}
    if prefix:
        stray = [name for name in tensors if not name.startswith(prefix)]
        raise SetupError(
            f"weights: {path}: {_listed('without the prefix ' + repr(prefix), stray)}; check prefix"
        )
    return dict(tensors)


def _listed(what: str, names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names)} {what}" + (f" ({shown})" if names else "")

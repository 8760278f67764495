"""Two networks for the digits, trained in seconds at first use."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import ConfigDict

from campaign.errors import SetupError
from campaign.lazy import np, torch
from campaign.sources.base import MODELS, ModelSource, Preprocess
from campaign.sources.cache import cache_folder, combined_digest, write_atomically
from campaign.sources.digits import DIGITS_SHA256, digits
from campaign.sources.known import known_macs, known_scalars
from campaign.sources.networks import build_network

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn


class Recipe(NamedTuple):
    """All that decides the trained weights; another recipe is another cache file."""

    version: int = 1
    """Raised when the training code gives other weights for the same numbers."""
    seed: int = 0
    epochs: int = 12
    batch: int = 42
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 2e-3
    """Keeps every weight inside (-1, 1), where tanh has an inverse."""
    fraction_bits: int = 24
    """Weights are rounded to multiples of 2^-24: training in float64 differs by about 1e-15
    between machines, so all of them get the same file."""


RECIPE = Recipe()


@MODELS.register
@dataclass(frozen=True)
class DigitsCnnModel(ModelSource):
    """Two convolutions and a linear layer on 8x8 digits: 9,872 weights, 98 % clean accuracy.

    Trained in about two seconds on one CPU thread at first use, then kept in the cache folder. The
    weights are the same on every machine, and all of them lie in (-1, 1).
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "digits_cnn"

    @property
    def label(self) -> str:
        return self.name

    @property
    def preprocess(self) -> Preprocess:
        return Preprocess(divisor=16.0)

    def digest(self) -> str:
        return combined_digest(self.name, hashlib.sha256(self._weights()).hexdigest())

    def state(self) -> dict[str, NDArray[np.generic]]:
        from safetensors.numpy import load

        return dict(sorted(load(self._weights()).items()))

    def build(self) -> nn.Module:
        return build_network(self.name)

    def parameter_counts(self) -> Mapping[str, int] | None:
        return known_scalars(self.name)

    def macs(self) -> int | None:
        return known_macs(self.name)

    def _weights(self) -> bytes:
        return _weight_file(self.name, cache_folder())


@MODELS.register
@dataclass(frozen=True)
class DigitsMlpModel(DigitsCnnModel):
    """Four linear layers, 256, 256, 128 and 10 wide, on 8x8 digits: 115,968 weights, 96 % clean.

    Trained at first use by the recipe of ``digits_cnn``, then kept in the cache folder. The weights
    are the same on every machine, and all of them lie in (-1, 1).
    """

    name: ClassVar[str] = "digits_mlp"


@functools.cache
def _weight_file(name: str, folder: Path) -> bytes:
    """The weights of the network `name`, from `folder` or trained now.

    A folder that cannot be written is no loss.
    """
    from safetensors.numpy import save

    path = folder / f"{name}-{combined_digest(*RECIPE, DIGITS_SHA256)[:16]}.safetensors"
    try:
        return path.read_bytes()
    except OSError:
        content = save(train(RECIPE, name))
    try:
        write_atomically(path, [content])
    except OSError:
        return content
    return content


def train(recipe: Recipe, name: str = "digits_cnn") -> dict[str, NDArray[np.float32]]:
    """Weights of the network `name` by stochastic gradient descent with momentum.

    In float64 on one thread.
    Touches no global generator and restores torch's thread count.
    """
    with _one_thread(), torch.inference_mode(False), torch.enable_grad():
        model = build_network(name).double()
        generator = torch.Generator().manual_seed(recipe.seed)
        _initialise(model, generator)
        _descend(model, generator, recipe)
    grid = 2.0**recipe.fraction_bits
    trained = {key: value.detach().numpy() for key, value in model.named_parameters()}
    if not all(np.isfinite(value).all() for value in trained.values()):
        raise SetupError(f"model {name}: training gave non-finite weights; check this torch")
    return {key: (np.rint(v * grid) / grid).astype(np.float32) for key, v in trained.items()}


def _initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Uniform in +-1/sqrt(fan-in), biases zero."""
    with torch.no_grad():
        for value in model.parameters():
            draw = torch.rand(value.shape, generator=generator, dtype=torch.float64) * 2 - 1
            value.copy_(draw * value[0].numel() ** -0.5 if value.ndim > 1 else draw * 0)


def _descend(model: nn.Module, generator: torch.Generator, recipe: Recipe) -> None:
    images, labels = (torch.from_numpy(part) for part in digits("train"))
    inputs = images.double() / 16
    parameters = list(model.parameters())
    velocities = [torch.zeros_like(value) for value in parameters]
    per_epoch = len(labels) // recipe.batch
    for step in range(steps := recipe.epochs * per_epoch):
        if step % per_epoch == 0:
            order = torch.randperm(len(labels), generator=generator)
        batch = order[(step % per_epoch) * recipe.batch :][: recipe.batch]
        loss = torch.nn.functional.cross_entropy(model(inputs[batch]), labels[batch])
        gradients = torch.autograd.grad(loss, parameters)
        rate = recipe.learning_rate * (1 - step / steps)
        with torch.no_grad():
            for value, gradient, velocity in zip(parameters, gradients, velocities, strict=True):
                velocity.mul_(recipe.momentum).add_(gradient + recipe.weight_decay * value)
                value.sub_(rate * velocity)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

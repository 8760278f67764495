"""How a network and its images lie in memory: the order of the dimensions, and images a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from campaign.lazy import torch
from campaign.networks.sites import Site, watched
from campaign.spec.grid import Setup
from campaign.trial.setup import Network

if TYPE_CHECKING:
    from torch import Tensor, nn

CACHE_BYTES = 1 << 22
"""What the largest output of a batch may take on a CPU. Measured on one thread with 1 MiB of L2
cache: ResNet-20 on 32x32 (64 KiB an image) is fastest at 64 images, within 12 % from 32 to 256."""
_LEAST = 16
"""ResNet-18 on 224x224 computes 35 images a second one by one, 54 in batches of 16."""
_WEIGHTS_TO_OUTPUTS = 4
"""Outputs that a batch writes for every weight that it reads: VGG-11 on 32x32 computes 498 images a
second in batches of 16, which leave its outputs in the cache, and 626 in batches of 128."""
_MOST_AMORTISED = 256
GPU_BATCH = 512
"""Images a batch on a GPU, where these fit."""
_ALIKE = 1e-3
"""How far two orders of summation may move an output, as a share of the largest one."""


class Placed(NamedTuple):
    """A network, and how it is to be computed."""

    network: Network
    channels_last: bool
    """Whether it wants its images channels-last."""
    batch_size: int
    """Images a forward pass."""
    adapts: bool
    """Whether `batch_size` is a wish: the fewest equal batches of at most as many are made."""

    def batch_sizes(self, count: int) -> Iterator[int]:
        """How many of `count` images to compute at once: first choice first, halved thereafter."""
        size = even_batches(count, self.batch_size) if self.adapts else self.batch_size
        yield size
        while size > 1:
            size //= 2
            yield size


def device_name(device: torch.device) -> str:
    """How rows call a device, such as ``cpu`` or ``cuda:NVIDIA H200``."""
    return "cpu" if device.type == "cpu" else f"cuda:{torch.cuda.get_device_name(device)}"


def may_lie_otherwise(setup: Setup, device: torch.device) -> bool:
    """Whether channels may come last.

    Stored activations are words in the order of the tensor, so they would be copied to and fro. On
    a GPU it is tensor cores that want channels last, and float32 does not use them.
    """
    if setup.targets.activations:
        return False
    return device.type == "cpu" or setup.compute != "fp32"


def place(
    network: Network, images: Tensor, batch_size: int | Literal["auto"], *, channels_last: bool
) -> Placed:
    """Settle how a network is computed.

    Args:
        network: On its device, with its trained weights.
        images: Two normalised images, on the same device.
        batch_size: Images a forward pass, or ``auto``.
        channels_last: Whether it may be laid out so.
    """
    laid = channels_last and put_channels_last(network.module, images)
    if batch_size == "auto":
        return Placed(network, laid, batch_of(network.module, images), adapts=True)
    return Placed(network, laid, batch_size, adapts=False)


def put_channels_last(module: nn.Module, images: Tensor) -> bool:
    """Lay convolutions out channels-last where the network can be computed so.

    The channels of a pixel are then neighbours, as the kernels for vector units want them: half to
    twice as fast on a CPU. Values stay as they are; sums may round differently. Networks without a
    2-d convolution stay, and so do those that look at how activations lie (``view``), which raise.

    Args:
        module: Changed in place, or left contiguous.
        images: Two normalised images or more to try it on, on the module's device.

    Returns:
        Whether the network now wants its images channels-last.
    """
    if not any(isinstance(part, torch.nn.Conv2d) for part in module.modules()):
        return False
    # Not in inference mode: parameters that are moved there cannot take part in a gradient.
    with torch.no_grad():
        expected = module(images)
        module.to(memory_format=torch.channels_last)
        try:
            found = module(images.contiguous(memory_format=torch.channels_last))
        except RuntimeError:
            found = None
        if found is not None and _alike(found, expected):
            return True
        module.to(memory_format=torch.contiguous_format)
    return False


def _alike(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    largest = float(expected.abs().max())
    return bool(torch.isclose(found, expected, rtol=0, atol=_ALIKE * largest, equal_nan=True).all())


def batch_of(module: nn.Module, images: Tensor) -> int:
    """How many images to compute at once.

    On a CPU as many as leave the largest output of a layer in the cache, for what one layer writes
    the next one reads; more where the weights are large beside the outputs, for each batch reads
    them anew. On a GPU many.

    Args:
        module: The network.
        images: One normalised image or more, on the module's device.
    """
    if images.device.type == "cuda":
        return GPU_BATCH
    outputs = [images[:1].numel()]

    def note(site: Site, value: Tensor) -> Tensor:
        outputs.append(value.numel())
        return value

    with torch.inference_mode(), watched(module, note):
        module(images[:1])
    weights = sum(parameter.numel() for parameter in module.parameters())
    amortised = _WEIGHTS_TO_OUTPUTS * weights // sum(outputs)
    cached = CACHE_BYTES // (max(outputs) * images.element_size())
    return max(_LEAST, min(amortised, _MOST_AMORTISED), cached)


def even_batches(count: int, most: int) -> int:
    """The size of the fewest batches of at most `most` that `count` images make, all but equal.

    Example:
        >>> even_batches(600, 512)
        300
    """
    return max(1, -(-count // max(1, -(-count // most))))

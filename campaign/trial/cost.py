"""What a setup costs to run: operations of one inference, and of its protections."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from campaign.lazy import torch
from campaign.networks.calls import intercepted
from campaign.networks.sites import LAYERS, Site, watched
from campaign.trial.forward import Forward
from campaign.trial.memory import Storage, Stored

if TYPE_CHECKING:
    from torch import Tensor


class Cost(NamedTuple):
    """Operations for one image."""

    inference: int
    """Multiplications and additions of convolutions and matrix products."""
    protection: int
    """Operations of the protections where every exposed weight is read once for this image."""


class Pass(NamedTuple):
    """What one image meets on its way through a network."""

    operations: int
    """Multiplications and additions of convolutions and matrix products."""
    sites: tuple[tuple[Site, int], ...]
    """Each site, and how many values pass there."""


def cost_of(forward: Forward, stored: Iterable[Stored], storage: Storage, image: Tensor) -> Cost:
    """Operations of an inference and of the protections around it; see `Method.operations`.

    Weights are read once for one image: the dearest case, for a weight that stays on the chip, or
    serves a batch, is checked less often.

    Args:
        forward: The network; left as it was.
        stored: The exposed parameters in memory.
        storage: How they are read.
        image: One normalised image, float32 (1, channels, height, width).
    """
    counts = [held.clean.numel() for held in stored]
    read = sum(m.operations(n, storage.dtype.width) for m in storage.stack for n in counts)
    passed = one_pass(forward, image)
    guarded = sum(
        method.guard_operations(site, values)
        for method in storage.stack
        if method.guards
        for site, values in passed.sites
    )
    return Cost(passed.operations, read + guarded)


PRODUCTS = frozenset(
    "matmul __matmul__ __rmatmul__ mm bmm baddbmm addmm addbmm einsum scaled_dot_product_attention "
    "multi_head_attention_forward bilinear".split()
)
"""Functions that multiply matrices and are no convolution or linear layer."""


def one_pass(forward: Forward, image: Tensor) -> Pass:
    """Send one image through a network and count."""
    sites: list[tuple[Site, int]] = []
    macs: list[int] = []

    def count(site: Site, value: Tensor) -> Tensor:
        sites.append((site, value.numel()))
        return value

    called: set[str] = set()
    with torch.no_grad(), _counting(called, macs), watched(forward.module, count):
        forward.module(image)
    products = not PRODUCTS.isdisjoint(called)
    return Pass(_dispatched(forward, image) if products else 2 * sum(macs), tuple(sites))


def _counting(called: set[str], macs: list[int]) -> AbstractContextManager[object]:
    """Adds the name of every torch function that is called, and the multiply-adds of each layer."""

    def call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        name = getattr(func, "__name__", "")
        called.add(name)
        output = func(*args, **kwargs)
        if name in LAYERS - PRODUCTS:
            given, weight = (
                kwargs[key] if key in kwargs else args[place]
                for place, key in enumerate(("input", "weight"))
            )
            # Each number that is given, or of a transposed layer taken, meets so many weights.
            each = given if "transpose" in name else output
            macs.append(each.numel() * weight[0].numel())
        return output

    return intercepted(call)


def _dispatched(forward: Forward, image: Tensor) -> int:
    """Operations of every kernel that multiplies: exact, but its first use takes seconds.

    Attention is computed by plain matrix products meanwhile: fused kernels differ between devices
    and are not all counted.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    def unchanged(site: Site, value: Tensor) -> Tensor:
        return value

    counter, plain = FlopCounterMode(display=False), watched(forward.module, unchanged)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), plain, counter:
        forward.module(image)
    return int(counter.get_total_flops())

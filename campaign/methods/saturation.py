"""Saturated functions and their inverses: float32 values in and out, float64 between."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from campaign.formats.pieces import by_pieces
from campaign.lazy import np, torch

if TYPE_CHECKING:
    from torch import Tensor

_BUFFERED = 1 << 10
"""Values that numpy converts at a time: 8 KiB in float64, so that they stay in the first cache."""
_MARGIN = 2.0**-49
"""Relative distance of two float64 results beyond any error of torch's or numpy's functions."""


class Saturation(NamedTuple):
    """A saturated function tau, its inverse on (-bound, bound), the bound, operations of a number.

    Both take values and the constant `a`, float64, and give a tau(value / a) or a tau^-1(value / a)
    as float32; `a` is 1 for all but ``scaled_tanh``.
    """

    applied: Callable[[Tensor, Tensor], Tensor]
    inverted: Callable[[Tensor, Tensor], Tensor]
    bound: float
    operations: int


@dataclass(frozen=True)
class Elementary:
    """A function of torch that numpy computes several times faster, on one core of a CPU.

    The float32 results are those of torch, so a GPU and a gradient, which stay with torch, compute
    the same function. For a = 1, all float32 values were compared once, with numpy 2.4 and torch
    2.15 on AVX-512: none differs. Scaled values are checked as they are computed.

    Args:
        by_torch: Gives a new tensor.
        by_numpy: Names the universal function; called at use, for numpy is imported late.
    """

    by_torch: Callable[[Tensor], Tensor]
    by_numpy: Callable[[], np.ufunc]

    def plain(self, value: Tensor, a: Tensor) -> Tensor:
        """Compute f(value); `a` is 1."""
        if _for_torch(value):
            return self.by_torch(value.double()).to(torch.float32)
        result = torch.empty_like(value, dtype=torch.float32)
        with np.errstate(all="ignore"):
            before = np.setbufsize(_BUFFERED)
            self.by_numpy()(value.numpy(), out=result.numpy(), dtype=np.float64, casting="unsafe")
            np.setbufsize(before)
        return result

    def scaled(self, value: Tensor, a: Tensor) -> Tensor:
        """Compute a f(value / a)."""
        return by_pieces(value, a, self._exact if _for_torch(value) else self._checked)

    def _checked(self, value: Tensor, a: Tensor) -> Tensor:
        """What `_exact` gives, by numpy where an error in its last places cannot show."""
        inner = value.double().div_(a)
        array = inner.numpy()
        with np.errstate(all="ignore"):
            self.by_numpy()(array, out=array)
        low = inner.mul_(a * (1 - _MARGIN)).to(torch.float32)
        high = inner.mul_(1 + 2 * _MARGIN).to(torch.float32)
        agree = np.array_equal(low.numpy(), high.numpy())  # torch.equal takes five times as long
        return low if agree else self._exact(value, a)

    def _exact(self, value: Tensor, a: Tensor) -> Tensor:
        return (self.by_torch(value.double() / a) * a).to(torch.float32)


def _for_torch(value: Tensor) -> bool:
    """Whether numpy cannot take the values or would lose their gradient."""
    return value.requires_grad or value.device.type != "cpu"


def _softsign(value: Tensor, a: Tensor) -> Tensor:
    """Compute x / (1 + |x|), with the limit +-1 at infinity instead of inf/inf."""
    top = torch.finfo(torch.float32).max
    x = value.double().clamp(-top, top)
    return x / x.abs().add_(1)


def _softsign_inverse(value: Tensor, a: Tensor) -> Tensor:
    """Compute y / (1 - |y|)."""
    y = value.double()
    return y / y.abs().neg_().add_(1)


_TANH = Elementary(lambda x: x.tanh(), lambda: np.tanh)
_ATANH = Elementary(lambda y: y.atanh(), lambda: np.arctanh)
_ATAN = Elementary(lambda x: x.atan(), lambda: np.arctan)
_TAN = Elementary(lambda y: y.tan(), lambda: np.tan)

SATURATIONS: dict[str, Saturation] = {
    "tanh": Saturation(_TANH.plain, _ATANH.plain, 1.0, 1),
    "arctan": Saturation(_ATAN.plain, _TAN.plain, math.pi / 2, 1),
    "softsign": Saturation(
        lambda value, a: by_pieces(value, a, _softsign),
        lambda value, a: by_pieces(value, a, _softsign_inverse),
        1.0,
        3,
    ),
    "hardtanh": Saturation(lambda value, a: value.clamp(-1, 1), lambda value, a: value, 1.0, 2),
    "scaled_tanh": Saturation(_TANH.scaled, _ATANH.scaled, 1.0, 3),
}

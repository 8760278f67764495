"""OCP microscaling (MX): blocks of 32 small elements with a stored power-of-two scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import ConfigDict

from campaign.bits import Words
from campaign.formats.base import FORMATS, NumberFormat
from campaign.formats.blocks import blocks, spread, spread_at
from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK = 32
_BIAS = 127
_SCALE_NAN = 255


class _Element(NamedTuple):
    """Bits of an element below its sign, and what its last codes mean that are no numbers."""

    exponent: int
    mantissa: int
    special: tuple[float, ...] = ()


_ELEMENTS = {
    "fp8_e4m3": _Element(4, 3, (math.nan,)),
    "fp8_e5m2": _Element(5, 2, (math.inf, math.nan, math.nan, math.nan)),
    "fp6_e3m2": _Element(3, 2),
    "fp6_e2m3": _Element(2, 3),
    "fp4": _Element(2, 1),
    "int8": _Element(0, 7),
}


@FORMATS.register
@dataclass(frozen=True)
class Microscaling(NumberFormat):
    """Elements that share an E8M0 scale, a power of two, with the 31 others of their block.

    A block is 32 consecutive weights of an output channel (dimension 0), flattened; the last one of
    a channel may be shorter, and nothing is stored for what it lacks. The scale takes 8 bits a
    block, stored and faultable as the field ``scale``: its code e means 2^(e - 127), 255 is NaN for
    the whole block. No protection covers it. On writing, e - 127 = floor(log2 max|x|) less the
    exponent of the largest element; elements round to nearest even and saturate. NaN is stored as
    0, a block of zeros has e = 0, and ``mxint8`` leaves its pattern -2 unwritten. What exceeds
    float32 reads as infinity.
    Source: OCP Microscaling Formats (MX) v1.0, 2023; Rouhani et al., 2310.10537.

    Args:
        element: ``fp8_e4m3``, ``fp8_e5m2``, ``fp6_e3m2``, ``fp6_e2m3``, ``fp4`` (e2m1) or ``int8``,
            stated by the name: ``mxfp4``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "mx{element}"
    pattern: ClassVar[str] = r"mx(?P<element>fp8_e4m3|fp8_e5m2|fp6_e3m2|fp6_e2m3|fp4|int8)"
    example: ClassVar[str] = "mxfp8_e4m3"
    scale_width: ClassVar[int] = 8
    scale_block: ClassVar[int] = _BLOCK
    pointwise: ClassVar[bool] = True

    element: Literal["fp8_e4m3", "fp8_e5m2", "fp6_e3m2", "fp6_e2m3", "fp4", "int8"]

    @property
    def label(self) -> str:
        return f"mx{self.element}"

    @property
    def width(self) -> int:
        return 1 + self._parts.exponent + self._parts.mantissa

    @property
    def largest(self) -> float:
        top = self._magnitudes()[-1]
        return math.ldexp(top, _BIAS - _exponent(top))

    @property
    def bit_classes(self) -> Mapping[str, range]:
        below = self.width - 1
        sign = range(below, below + 1)
        if self.element == "int8":
            return {"sign": sign, "msb": sign, "integer": range(6, below), "fraction": range(6)}
        return {
            "sign": sign,
            "exponent": range(self._parts.mantissa, below),
            "exponent_msb": range(below - 1, below),
            "mantissa": range(self._parts.mantissa),
            "msb": sign,
        }

    @property
    def twos_complement(self) -> bool:
        return self.element == "int8"

    def calibrate(self, values: Tensor) -> Tensor:
        """The code of each block's scale, uint8, shape (rows, blocks)."""
        largest = blocks(values.abs().nan_to_num(nan=0.0), _BLOCK).amax(-1).double()
        power = torch.frexp(largest).exponent - 1 - _exponent(self._magnitudes()[-1])
        power = torch.where(largest > 0, power, -_BIAS)
        return (power.clamp(-_BIAS, _BIAS) + _BIAS).to(torch.uint8)

    def encode(self, values: Tensor, scale: Tensor | None) -> Words:
        assert scale is not None
        power = spread(scale, values.shape, _BLOCK).double() - _BIAS
        exact = torch.where(values.isnan(), 0.0, values.double()) / torch.exp2(power)
        magnitude = self._nearest(exact.abs().contiguous())
        if self.element == "int8":
            code = torch.where(exact < 0, -magnitude, magnitude) & 0xFF
        else:
            code = magnitude | exact.signbit().to(torch.int64) << (self.width - 1)
        return Words(code.to(torch.uint8).contiguous(), self.width)

    def decode(self, words: Words, scale: Tensor | None) -> Tensor:
        assert scale is not None
        numbers, factors = _tables(self, words.data.device)
        each = spread(factors[scale.to(torch.int64)], words.data.shape, _BLOCK)
        return numbers[words.data.to(torch.int64)] * each

    def decode_at(
        self, words: Words, scale: Tensor | None, shape: Sequence[int], index: Tensor
    ) -> Tensor:
        assert scale is not None
        numbers, factors = _tables(self, words.data.device)
        codes = spread_at(scale, shape, _BLOCK, index)
        return numbers[words.data.to(torch.int64)] * factors[codes.to(torch.int64)]

    @property
    def _parts(self) -> _Element:
        return _ELEMENTS[self.element]

    def _magnitudes(self) -> list[float]:
        """Every finite value without a sign, by its code."""
        exponent, mantissa, special = self._parts
        if self.element == "int8":
            return [code / 64 for code in range(128)]
        bias, ones = (1 << (exponent - 1)) - 1, 1 << mantissa
        found = []
        for code in range((1 << (exponent + mantissa)) - len(special)):
            power, fraction = divmod(code, ones)
            hidden = ones if power else 0
            found.append(math.ldexp(hidden + fraction, max(power, 1) - bias - mantissa))
        return found

    def _numbers(self) -> list[float]:
        """The value of every pattern."""
        positive = [*self._magnitudes(), *self._parts.special]
        if self.element == "int8":
            return [*positive, *(code / 64 for code in range(-128, 0))]
        return [*positive, *(-value for value in positive)]

    def _nearest(self, magnitudes: Tensor) -> Tensor:
        """The code of the nearest value, the even one of two; int64."""
        known = torch.tensor(self._magnitudes(), dtype=torch.float64, device=magnitudes.device)
        middles = (known[1:] + known[:-1]) / 2
        below = torch.bucketize(magnitudes, middles)
        above = torch.bucketize(magnitudes, middles, right=True)
        return torch.where(below % 2 == 0, below, above)


@lru_cache(maxsize=16)
def _tables(fmt: Microscaling, device: torch.device) -> tuple[Tensor, Tensor]:
    """The number of each element pattern, and the factor of each code of a scale; float32."""
    numbers = torch.tensor(fmt._numbers(), dtype=torch.float32, device=device)
    powers = [math.ldexp(1.0, code - _BIAS) for code in range(_SCALE_NAN)]
    return numbers, torch.tensor([*powers, math.nan], dtype=torch.float32, device=device)


def _exponent(value: float) -> int:
    """floor(log2 `value`)."""
    return math.frexp(value)[1] - 1

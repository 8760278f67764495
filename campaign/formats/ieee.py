"""Floating point with a sign, an exponent and a mantissa: fp64, fp32, fp16, bf16."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from campaign.bits import Words, carrier
from campaign.formats.base import FORMATS, NumberFormat
from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class TorchFloat(NumberFormat):
    """A float that torch knows: encoded by a cast, stored as its bit pattern."""

    exponent: ClassVar[int]
    mantissa: ClassVar[int]
    pointwise: ClassVar[bool] = True
    number: ClassVar[str]
    """The torch dtype."""

    @property
    def label(self) -> str:
        return self.name

    @property
    def width(self) -> int:
        return 1 + self.exponent + self.mantissa

    @property
    def largest(self) -> float:
        top = 2 ** (self.exponent - 1) - 1
        return float(2.0**top * (2.0 - 2.0**-self.mantissa))

    @property
    def bit_classes(self) -> Mapping[str, range]:
        sign = self.width - 1
        return {
            "sign": range(sign, sign + 1),
            "exponent": range(self.mantissa, sign),
            "exponent_msb": range(sign - 1, sign),
            "mantissa": range(self.mantissa),
            "msb": range(sign, sign + 1),
        }

    def encode(self, values: Tensor, scale: Tensor | None) -> Words:
        stored = values.clamp(-self.largest, self.largest).to(getattr(torch, self.number))
        return Words(stored.contiguous().view(carrier(self.width)), self.width)

    def decode(self, words: Words, scale: Tensor | None) -> Tensor:
        return words.data.view(getattr(torch, self.number)).to(torch.float32)


@FORMATS.register
@dataclass(frozen=True)
class Float64(TorchFloat):
    """IEEE 754 binary64: 1 sign, 11 exponent, 52 mantissa bits, read as float32.

    A float32 value is stored exactly. What a fault makes reads as the nearest float32, infinity
    where that is too large: the network computes in float32. So `t` ends at the largest float32.
    Source: IEEE 754-2019.
    """

    name: ClassVar[str] = "fp64"
    exponent: ClassVar[int] = 11
    mantissa: ClassVar[int] = 52
    number: ClassVar[str] = "float64"

    @property
    def largest(self) -> float:
        return float(2.0**127 * (2.0 - 2.0**-23))


@FORMATS.register
@dataclass(frozen=True)
class Float32(TorchFloat):
    """IEEE 754 binary32: 1 sign, 8 exponent, 23 mantissa bits. Source: IEEE 754-2019."""

    name: ClassVar[str] = "fp32"
    exponent: ClassVar[int] = 8
    mantissa: ClassVar[int] = 23
    number: ClassVar[str] = "float32"


@FORMATS.register
@dataclass(frozen=True)
class Float16(TorchFloat):
    """IEEE 754 binary16: 1 sign, 5 exponent, 10 mantissa bits. Source: IEEE 754-2019."""

    name: ClassVar[str] = "fp16"
    exponent: ClassVar[int] = 5
    mantissa: ClassVar[int] = 10
    number: ClassVar[str] = "float16"


@FORMATS.register
@dataclass(frozen=True)
class BFloat16(TorchFloat):
    """bfloat16: 1 sign, 8 exponent, 7 mantissa bits. Source: Kalamkar et al., 1905.12322."""

    name: ClassVar[str] = "bf16"
    exponent: ClassVar[int] = 8
    mantissa: ClassVar[int] = 7
    number: ClassVar[str] = "bfloat16"

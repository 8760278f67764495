"""Floating point of 8 bits: e4m3fn and e5m2, and their fnuz twins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from campaign.formats.base import FORMATS
from campaign.formats.ieee import TorchFloat


@FORMATS.register
@dataclass(frozen=True)
class Float8E4M3(TorchFloat):
    """1 sign, 4 exponent, 3 mantissa bits, no infinity; NaN is 0x7f and 0xff, the largest 448.

    Source: Micikevicius et al., FP8 formats for deep learning, 2209.05433 (``float8_e4m3fn``).
    """

    name: ClassVar[str] = "fp8_e4m3fn"
    exponent: ClassVar[int] = 4
    mantissa: ClassVar[int] = 3
    number: ClassVar[str] = "float8_e4m3fn"

    @property
    def largest(self) -> float:
        return 448.0


@FORMATS.register
@dataclass(frozen=True)
class Float8E5M2(TorchFloat):
    """1 sign, 5 exponent, 2 mantissa bits, infinity and NaN as in IEEE 754, the largest 57344.

    A cast to e5m2 overflows to infinity; storing saturates, as everywhere here.
    Source: Micikevicius et al., FP8 formats for deep learning, 2209.05433 (``float8_e5m2``).
    """

    name: ClassVar[str] = "fp8_e5m2"
    exponent: ClassVar[int] = 5
    mantissa: ClassVar[int] = 2
    number: ClassVar[str] = "float8_e5m2"


@FORMATS.register
@dataclass(frozen=True)
class Float8E4M3Fnuz(TorchFloat):
    """e4m3 with bias 8: no infinity, no -0, its pattern 0x80 is the one NaN; the largest 240.

    Source: Noune et al., 8-bit numerical formats for deep neural networks, 2206.02915.
    """

    name: ClassVar[str] = "fp8_e4m3fnuz"
    exponent: ClassVar[int] = 4
    mantissa: ClassVar[int] = 3
    number: ClassVar[str] = "float8_e4m3fnuz"

    @property
    def largest(self) -> float:
        return 240.0


@FORMATS.register
@dataclass(frozen=True)
class Float8E5M2Fnuz(TorchFloat):
    """e5m2 with bias 16: no infinity, no -0, its pattern 0x80 is the one NaN; the largest 57344.

    Source: Noune et al., 8-bit numerical formats for deep neural networks, 2206.02915.
    """

    name: ClassVar[str] = "fp8_e5m2fnuz"
    exponent: ClassVar[int] = 5
    mantissa: ClassVar[int] = 2
    number: ClassVar[str] = "float8_e5m2fnuz"

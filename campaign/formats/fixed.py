"""Fixed point Qm.n: one sign bit, m integer bits, n fraction bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict

from campaign.bits import Words, mask_to_width, signed
from campaign.formats.base import FORMATS, NumberFormat
from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@FORMATS.register
@dataclass(frozen=True)
class FixedPoint(NumberFormat):
    """Two's complement fixed point of 1 + m + n bits, value q * 2^-n.

    The sign bit is counted apart from m: Q2.5 is 8 bits wide and covers [-4, 3.96875] in steps of
    1/32. (The other convention counts the sign in m.) NaN is stored as 0; a value of more than 24
    significant bits reads as the nearest float32. Source: Q2.5 of arXiv 2411.18993.

    Args:
        m: Integer bits, stated by the name ``q{m}_{n}``.
        n: Fraction bits; 2 <= 1 + m + n <= 32.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "q{m}_{n}"
    pattern: ClassVar[str] = r"q(?P<m>\d{1,2})_(?P<n>\d{1,2})"
    example: ClassVar[str] = "q2_5"
    clips: ClassVar[bool] = True
    pointwise: ClassVar[bool] = True

    m: int
    n: int

    def __post_init__(self) -> None:
        if not 2 <= self.width <= 32:
            raise ValueError(f"{self.label} has {self.width} bits; allowed: 2..32 (1 + m + n)")

    @property
    def label(self) -> str:
        return f"q{self.m}_{self.n}"

    @property
    def width(self) -> int:
        return 1 + self.m + self.n

    @property
    def largest(self) -> float:
        return float(2**self.m - 2.0**-self.n)

    @property
    def bit_classes(self) -> Mapping[str, range]:
        sign = range(self.width - 1, self.width)
        return {
            "sign": sign,
            "msb": sign,
            "integer": range(self.n, self.n + self.m),
            "fraction": range(self.n),
        }

    @property
    def twos_complement(self) -> bool:
        return True

    def encode(self, values: Tensor, scale: Tensor | None) -> Words:
        top = 2 ** (self.m + self.n)
        code = (values.double() * 2.0**self.n).round().clamp(-top, top - 1)
        code = torch.where(code.isnan(), 0.0, code)
        return mask_to_width(code.to(torch.int64).contiguous(), self.width)

    def decode(self, words: Words, scale: Tensor | None) -> Tensor:
        code = signed(words.data.to(torch.int64), self.width)
        return (code.double() * 2.0**-self.n).to(torch.float32)

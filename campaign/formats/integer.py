"""Integers with shared scales: int8 and its family, RandBET's robust quantisation among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

from pydantic import ConfigDict, Field

from campaign.bits import Words, mask_to_width, signed
from campaign.formats.base import FORMATS, NumberFormat
from campaign.formats.blocks import blocks, broadcast_at, spread, spread_at
from campaign.lazy import torch
from campaign.registry import changed_options, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_GROUP_SIZE = 64
_MARGIN = 1e-3
"""By how much ``robust`` widens the range."""


class _Grid(NamedTuple):
    """The integer q means (q - zero) * step + center; None is 0."""

    step: Tensor
    zero: Tensor | None = None
    center: Tensor | None = None


@FORMATS.register
@dataclass(frozen=True)
class Integer(NumberFormat):
    """Integers of b bits that share a scale; scales are in protected memory, in float32.

    ``symmetric``: q in [-s, s], s = 2^(b-1) - 1, means q * scale with scale = max|x| / s.
    The pattern below is never written, but a fault can make it; it reads as -2^(b-1) * scale.
    ``asymmetric``: q means (q - zero) * scale with an integer zero; all 2^b codes cover [min, max],
    widened to hold 0. ``robust``: [min, max] is mapped to [-1, 1] and stored in steps of
    1.001 / s; what a fault makes is clamped to [min, max] on read. RandBET's RQuant is
    ``{scheme: robust, storage: unsigned}``; 0 has no code of its own in it.

    A flip has the same effect in signed and unsigned storage, which differ in an inverted top bit;
    stuck bits and one-sided faults tell them apart, and so does truncation. NaN is stored as 0.
    Source: Krishnamoorthi, 1806.08342 (symmetric, asymmetric); Stutz et al., 2006.13977 (robust).

    Args:
        bits: Bits per word, stated by the name: ``int8``, ``int4``, 2..16.
        per: One scale per ``tensor``, per output ``channel`` (dimension 0) or per ``group`` of
            consecutive weights of an output channel.
        group_size: Weights in a group; the last one of a channel may be shorter.
        scheme: ``symmetric``, ``asymmetric`` or ``robust``.
        storage: ``signed`` is two's complement; ``unsigned`` adds 2^(b-1).
        rounding: ``nearest``, ties to even; ``truncate`` drops the fraction of the number to be
            stored, as casts do: towards 0 where it is signed, down where it is unsigned.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "int{bits}"
    pattern: ClassVar[str] = r"int(?P<bits>[2-9]|1[0-6])"
    example: ClassVar[str] = "int8"
    pointwise: ClassVar[bool] = True

    bits: int = 8
    per: Literal["tensor", "channel", "group"] = "tensor"
    group_size: Annotated[int, Field(ge=1)] = _GROUP_SIZE
    scheme: Literal["symmetric", "asymmetric", "robust"] = "symmetric"
    storage: Literal["signed", "unsigned"] = "signed"
    rounding: Literal["nearest", "truncate"] = "nearest"

    def __post_init__(self) -> None:
        if self.per != "group" and self.group_size != _GROUP_SIZE:
            raise ValueError(f"group_size {self.group_size} needs per: group, got per: {self.per}")

    @property
    def label(self) -> str:
        options = {k: v for k, v in changed_options(self).items() if k != "bits"}
        return describe(f"int{self.bits}", options)

    @property
    def width(self) -> int:
        return self.bits

    @property
    def largest(self) -> None:
        return None

    @property
    def one_scale(self) -> bool:
        return self.per == "tensor"

    @property
    def bit_classes(self) -> Mapping[str, range]:
        top = range(self.bits - 1, self.bits)
        if self.scheme == "symmetric":
            return {"sign": top, "msb": top, "integer": range(self.bits - 1)}
        return {"msb": top, "integer": range(self.bits)}

    @property
    def zero_word_is_zero(self) -> bool:
        return self.scheme == "symmetric" and self.storage == "signed"

    @property
    def twos_complement(self) -> bool:
        return self.storage == "signed"

    def calibrate(self, values: Tensor) -> Tensor:
        low, high = self._ends(values)
        if self.scheme == "robust":
            return torch.stack([low, high])
        if self.scheme == "symmetric":
            return _positive(torch.maximum(-low, high).double() / self._steps)
        low, high = low.clamp(max=0).double(), high.clamp(min=0).double()
        step = _positive((high - low) / (2**self.bits - 1))
        zero = (-self._half - low / step.double()).round().clamp(-self._half, self._half - 1)
        return torch.stack([step, zero.to(torch.float32)])

    def encode(self, values: Tensor, scale: Tensor | None) -> Words:
        assert scale is not None
        step, zero, center = self._grid(*self._constants(scale, values.shape))
        exact = torch.where(values.isnan(), 0.0, values).double()
        number = (exact if center is None else exact - center) / step
        if zero is not None:
            number += zero
        if self.rounding == "nearest":
            number = number.round()
        else:
            number = number.floor() if self.storage == "unsigned" else number.trunc()
        lowest = -self._half if self.scheme == "asymmetric" else -self._steps
        code = number.clamp(lowest, self._steps).to(torch.int64).contiguous()
        return mask_to_width(code + self._offset, self.bits)

    def decode(self, words: Words, scale: Tensor | None) -> Tensor:
        assert scale is not None
        return self._read(words, self._constants(scale, words.data.shape))

    def decode_at(
        self, words: Words, scale: Tensor | None, shape: Sequence[int], index: Tensor
    ) -> Tensor:
        assert scale is not None
        return self._read(words, self._constants(scale, shape, index))

    def _read(self, words: Words, constants: Sequence[Tensor]) -> Tensor:
        """Words with the constants of each."""
        raw = words.data.to(torch.int64)
        code = signed(raw - self._offset if self._offset else raw, self.bits)
        step, zero, center = self._grid(*constants)
        if center is not None:
            low, high = constants
            return (code * step + center).to(torch.float32).clamp(low, high)
        number = code.to(torch.float32)  # exact, as is the difference
        if zero is not None:
            number -= zero
        return number * step.to(torch.float32)

    @property
    def _steps(self) -> int:
        return (1 << (self.bits - 1)) - 1

    @property
    def _half(self) -> int:
        return 1 << (self.bits - 1)

    @property
    def _offset(self) -> int:
        return self._half if self.storage == "unsigned" else 0

    def _constants(
        self, scale: Tensor, shape: Sequence[int], index: Tensor | None = None
    ) -> list[Tensor]:
        """The parts of a scale for the values of a tensor of `shape`, or for some of them."""
        parts = [scale] if self.scheme == "symmetric" else list(scale)
        if index is None:
            return [self._each(constant, shape) for constant in parts]
        if self.per == "group" and scale.ndim > 1:
            return [spread_at(constant, shape, self.group_size, index) for constant in parts]
        return [broadcast_at(constant, shape, index) for constant in parts]

    def _grid(self, *constants: Tensor) -> _Grid:
        """The grid of each value, in float64."""
        if self.scheme == "symmetric":
            return _Grid(constants[0].double())
        first, second = (constant.double() for constant in constants)
        if self.scheme == "asymmetric":
            return _Grid(first, second)
        half = (second - first) / 2
        step = torch.where(half > 0, half * ((1 + _MARGIN) / self._steps), 1.0)
        return _Grid(step, None, first + half)

    def _ends(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the greatest value of what shares a scale; 0 where there is none."""
        if values.numel() == 0:
            return values.new_zeros(()), values.new_zeros(())
        if self.per == "group":
            cut = blocks(values, self.group_size)
            return cut.amin(-1), cut.amax(-1)
        if self.per == "channel" and values.ndim > 1:
            inputs = tuple(range(1, values.ndim))
            return values.amin(inputs, keepdim=True), values.amax(inputs, keepdim=True)
        return values.min(), values.max()

    def _each(self, constant: Tensor, shape: Sequence[int]) -> Tensor:
        """A constant of each group as one of each value; other constants broadcast."""
        if self.per != "group" or constant.ndim == 0:
            return constant
        return spread(constant, shape, self.group_size)


def _positive(step: Tensor) -> Tensor:
    """As float32, 1 where that is 0."""
    rounded = step.to(torch.float32)
    return torch.where(rounded > 0, rounded, 1.0)

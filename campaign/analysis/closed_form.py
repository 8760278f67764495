"""What one flipped bit makes of a number, by the algebra of its format: no codec is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from campaign.formats import NumberFormat
from campaign.formats.fixed import FixedPoint
from campaign.formats.integer import Integer

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Special = Literal["ieee", "fn", "fnuz", "none"]
_SPECIAL: dict[str, Special] = {
    "fp8_e4m3fn": "fn",
    "mxfp8_e4m3": "fn",
    "*fnuz": "fnuz",
    "mxfp6*": "none",
    "mxfp4": "none",
    "fp64": "ieee",
    "fp32": "ieee",
    "fp16": "ieee",
    "bf16": "ieee",
    "fp8_e5m2": "ieee",
    "mxfp8_e5m2": "ieee",
}
_PIECE = 1 << 20
_WIDENED = 1.001
_BEYOND_FLOAT32 = 2.0**128 - 2.0**103
"""From where on the nearest float32 is infinite."""


@dataclass(frozen=True)
class FloatCode:
    """Sign, exponent field and fraction; the number is (-1)^s * 1.f * 2^(field - bias).

    Args:
        exponent: Bits of the field.
        mantissa: Bits of the fraction.
        bias: Of the field; field 0 holds 0.f * 2^(1 - bias).
        special: Which patterns are no numbers: ``ieee`` those of the highest field, ``fn`` the
            highest pattern alone, ``fnuz`` that of -0 alone, ``none``.
    """

    exponent: int
    mantissa: int
    bias: int
    special: Special

    @property
    def width(self) -> int:
        """Bits of a word."""
        return 1 + self.exponent + self.mantissa

    def flipped(self, numbers: Array, bit: int) -> Array:
        """What `numbers` read as when `bit` of each word flips; NaN and infinity where no number.

        With x = ±1.f * 2^e and m bits of fraction: the sign makes it -x; bit j of the fraction adds
        or takes 2^(e - m + j); bit k of the exponent multiplies by 2^(2^k) where it is 0 and
        divides where it is 1, but for field 0, whose hidden bit is 0.
        """
        size, negative = np.abs(numbers), np.signbit(numbers)
        normal = size >= np.ldexp(1.0, 1 - self.bias)
        field = np.where(normal, np.frexp(size)[1] - 1 + self.bias, 0)
        power = np.maximum(field, 1) - self.bias
        fraction = np.ldexp(size, -power) - normal
        pattern = np.rint(np.ldexp(fraction, self.mantissa)).astype(np.int64)
        if bit == self.width - 1:
            negative = ~negative
        elif bit >= self.mantissa:
            field = field ^ (1 << (bit - self.mantissa))
            with np.errstate(over="ignore"):  # the highest field of fp64, which is no number
                size = np.ldexp(fraction + (field > 0), np.maximum(field, 1) - self.bias)
        else:
            added = np.where(pattern >> bit & 1, -1.0, 1.0)
            size = size + added * np.ldexp(1.0, power - self.mantissa + bit)
            pattern = pattern ^ (1 << bit)
        return self._read(np.where(negative, -size, size), field, pattern)

    def _read(self, value: Array, field: Integers, pattern: Integers) -> Array:
        """Values, less those of patterns that are no numbers."""
        top = (1 << self.exponent) - 1
        if self.special == "ieee":
            infinite = np.where(pattern == 0, np.copysign(np.inf, value), np.nan)
            return np.where(field == top, infinite, value)
        if self.special == "fn":
            ones = (1 << self.mantissa) - 1
            return np.where((field == top) & (pattern == ones), np.nan, value)
        if self.special == "fnuz":
            return np.where((value == 0) & np.signbit(value), np.nan, value)
        return value


@dataclass(frozen=True)
class StepCode:
    """Two's complement in equal steps: bit k is worth 2^k, the highest one as much below 0.

    Numbers are in steps. With another zero point or an inverted top bit the size of an error is the
    same, and only its direction is not.

    Args:
        width: Bits of a word.
    """

    width: int

    def flipped(self, numbers: Array, bit: int) -> Array:
        """What `numbers` read as when `bit` flips: 2^bit steps up or down."""
        held = np.rint(numbers).astype(np.int64) >> bit & 1 == 1
        up = held if bit == self.width - 1 else ~held
        return numbers + np.where(up, 2.0**bit, -(2.0**bit))


@dataclass(frozen=True)
class ClampedCode:
    """The range [-1, 1] in steps of 1.001 / (2^(width - 1) - 1), clamped to it on read.

    Args:
        width: Bits of a word.
    """

    width: int

    def flipped(self, numbers: Array, bit: int) -> Array:
        """What `numbers` read as when `bit` flips: 2^bit steps up or down, at most to an end."""
        half = 1 << (self.width - 1)
        step = _WIDENED / (half - 1)
        code = np.rint(numbers / step).astype(np.int64)
        up = (code + half) >> bit & 1 == 0
        moved: Array = np.clip((code + np.where(up, 1, -1) * 2.0**bit) * step, -1, 1)
        return moved


Code: TypeAlias = FloatCode | StepCode | ClampedCode


def code_of(fmt: NumberFormat) -> Code | None:
    """How a number format codes its numbers; None for one that is not known here.

    Example:
        >>> from campaign.formats import FORMATS
        >>> code_of(FORMATS.make("fp16"))
        FloatCode(exponent=5, mantissa=10, bias=15, special='ieee')
    """
    if isinstance(fmt, Integer):
        return ClampedCode(fmt.width) if fmt.scheme == "robust" else StepCode(fmt.width)
    if isinstance(fmt, FixedPoint) or fmt.label == "mxint8":
        return StepCode(fmt.width)
    special = next((s for name, s in _SPECIAL.items() if fnmatchcase(fmt.label, name)), None)
    if special is None:
        return None
    exponent, mantissa = (len(fmt.bit_classes[name]) for name in ("exponent", "mantissa"))
    bias = (1 << (exponent - 1)) - 1 + (special == "fnuz")
    return FloatCode(exponent, mantissa, bias, special)


class ErrorSums(NamedTuple):
    """Errors of reading weights after one flip each, summed over the weights, for each bit."""

    absolute: Array
    squared: Array
    nonfinite: Array
    """Weights that read as NaN or infinity, which the other two leave out."""

    @classmethod
    def none(cls, width: int) -> ErrorSums:
        """Of no weights at all."""
        return cls(np.zeros(width), np.zeros(width), np.zeros(width))

    def plus(self, other: ErrorSums) -> ErrorSums:
        """Of the weights of both."""
        return ErrorSums(*(a + b for a, b in zip(self, other, strict=True)))


class Numbers(NamedTuple):
    """What a parameter's words hold.

    Args:
        held: Shape (n,): the numbers in memory in units of `unit`, as `Code` takes them.
        unit: What 1 of them is worth, shape (n,) or ().
        divisor: What a number is divided by to give a weight, c of weight scaling; (n,) or ().
    """

    held: Array
    unit: Array
    divisor: Array

    @property
    def weights(self) -> Array:
        """What is read without faults."""
        return self.held * self.unit / self.divisor


def expected_errors(code: Code, numbers: Numbers, nonfinite: str = "propagate") -> ErrorSums:
    """Errors of weights when each bit of each word flips, alone, in exact arithmetic.

    For a weight w = u h / c a flip that makes h' of the held number h is wrong by u (h' - h) / c:
    for equal steps u^2 4^k / c^2 whatever the weight, for floats 4 w^2 for the sign,
    (2^(±2^k) - 1)^2 w^2 for exponent bit k. So scaling divides the cost of a step by c, and for
    floats only chooses the field that is hit. What exceeds float32 reads as infinite.

    Args:
        code: How the numbers are coded.
        numbers: Of a parameter.
        nonfinite: ``propagate`` counts NaN and infinity, ``zero`` takes them as 0, ``clamp`` NaN as
            0 and infinity as the largest weight with its sign.
    """
    sums = ErrorSums.none(code.width)
    largest = max((float(np.abs(each.weights).max()) for each in _pieces(numbers)), default=0.0)
    for piece in _pieces(numbers):
        for bit in range(code.width):
            with np.errstate(over="ignore", invalid="ignore"):
                held = _as_float32(code.flipped(piece.held, bit) * piece.unit)
                read = _as_float32(held / piece.divisor)
            read = _under_policy(read, largest, nonfinite)
            finite = np.isfinite(read)
            error = np.abs((read - piece.weights)[finite])
            sums.absolute[bit] += error.sum()
            sums.squared[bit] += np.square(error).sum()
            sums.nonfinite[bit] += read.size - error.size
    return sums


def _as_float32(values: Array) -> Array:
    """Values, infinite where a float32 is."""
    return np.where(np.abs(values) >= _BEYOND_FLOAT32, np.copysign(np.inf, values), values)


def _pieces(numbers: Numbers) -> Iterator[Numbers]:
    """Some numbers at a time."""
    for start in range(0, numbers.held.size, _PIECE):
        cut = slice(start, start + _PIECE)
        yield Numbers(*(each[cut] if each.ndim else each for each in numbers))


def _under_policy(read: Array, largest: float, nonfinite: str) -> Array:
    if nonfinite == "propagate":
        return read
    if nonfinite == "zero":
        return np.where(np.isfinite(read), read, 0.0)
    return np.nan_to_num(read, nan=0.0, posinf=largest, neginf=-largest)

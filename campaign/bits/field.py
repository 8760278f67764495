"""Fields GF(2^m), their elements as polynomials over GF(2): bit i is the coefficient of x^i."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

PRIMITIVE = {
    4: 0b1_0011,
    5: 0b10_0101,
    6: 0b100_0011,
    7: 0b1000_1001,
    8: 0b1_0001_1101,
    9: 0b10_0001_0001,
    10: 0b100_0000_1001,
}
"""A polynomial for each degree m; the powers of its root x are all elements but 0."""


class Tables(NamedTuple):
    """Powers and logarithms of x in a field of 2^m elements."""

    powers: tuple[int, ...]
    """x^i for i in [0, 2^m - 1)."""
    logs: tuple[int, ...]
    """The exponent of each element; that of 0 is 0 and means nothing."""


@lru_cache(maxsize=len(PRIMITIVE))
def tables(degree: int) -> Tables:
    """The field of 2^degree elements.

    Example:
        >>> tables(4).powers[:6], tables(4).logs[3]
        ((1, 2, 4, 8, 3, 6), 4)
    """
    powers, logs, element = [], [0] * (1 << degree), 1
    for exponent in range((1 << degree) - 1):
        powers.append(element)
        logs[element] = exponent
        element = remainder(element << 1, PRIMITIVE[degree])
    return Tables(tuple(powers), tuple(logs))


def product(a: int, b: int) -> int:
    """The product of two polynomials.

    Example:
        >>> bin(product(0b11, 0b101))
        '0b1111'
    """
    found = 0
    while b:
        found ^= a * (b & 1)
        a, b = a << 1, b >> 1
    return found


def remainder(a: int, b: int) -> int:
    """The remainder of `a` divided by `b`.

    Example:
        >>> bin(remainder(0b10000, 0b10011))
        '0b11'
    """
    while a.bit_length() >= b.bit_length():
        a ^= b << (a.bit_length() - b.bit_length())
    return a


def conjugates(power: int, degree: int) -> frozenset[int]:
    """Exponents of x^power and its conjugates: power * 2^i modulo 2^degree - 1.

    Example:
        >>> sorted(conjugates(5, 4))
        [5, 10]
    """
    order = (1 << degree) - 1
    return frozenset(power * (1 << i) % order for i in range(degree))


def minimal_polynomial(power: int, degree: int) -> int:
    """The polynomial over GF(2) whose roots are x^power and its conjugates.

    That is the product of all (y + root), with coefficients in the field, multiplied out.

    Example:
        >>> bin(minimal_polynomial(5, 4))
        '0b111'
    """
    field, found = PRIMITIVE[degree], [1]  # coefficient of y^i
    for exponent in conjugates(power, degree):
        root = tables(degree).powers[exponent]
        scaled = [*(remainder(product(c, root), field) for c in found), 0]
        found = [a ^ b for a, b in zip([0, *found], scaled, strict=True)]
    return sum(coefficient << place for place, coefficient in enumerate(found))

"""Primitive BCH codes over GF(2^7), shortened to 64 data bits."""

from __future__ import annotations

from functools import lru_cache

from campaign.bits.linear import LinearCode

DATA_BITS = 64
_DEGREE = 7
_FIELD = 0b1000_1001  # x^7 + x^3 + 1, primitive: powers of x are all 127 elements
CHECK_BITS = {errors: _DEGREE * errors for errors in (1, 2, 3)}
"""Check bits by errors corrected: the codes (71,64), (78,64) and (85,64)."""


@lru_cache(maxsize=3)
def bch(errors: int) -> LinearCode:
    """The code that corrects 1, 2 or 3 errors in 64 data bits and its check bits.

    A codeword is a multiple of the generator, whose roots are the first 2 * `errors` powers of x.
    Data bit i is the coefficient of x^(i + check bits), check bit j that of x^j. Source: Bose &
    Ray-Chaudhuri, 1960; Hocquenghem, 1959; Lin & Costello, Error Control Coding, chapter 6.

    Example:
        >>> code = bch(1)
        >>> code.check_bits, code.columns[:3]
        (7, (9, 18, 36))
    """
    generator = 1
    for power in range(1, 2 * errors, 2):
        generator = _product(generator, _minimal_polynomial(power))
    rows = CHECK_BITS[errors]
    return LinearCode(
        tuple(_remainder(1 << (rows + bit), generator) for bit in range(DATA_BITS)), rows, errors
    )


def _product(a: int, b: int) -> int:
    """The product of two polynomials over GF(2), bit i being the coefficient of x^i."""
    found = 0
    while b:
        found ^= a * (b & 1)
        a, b = a << 1, b >> 1
    return found


def _remainder(a: int, b: int) -> int:
    """The remainder of `a` divided by `b`, polynomials over GF(2)."""
    while a.bit_length() >= b.bit_length():
        a ^= b << (a.bit_length() - b.bit_length())
    return a


def _minimal_polynomial(power: int) -> int:
    """The polynomial of degree 7 over GF(2) whose roots are x^power and its conjugates.

    That is (y + r)(y + r^2)(y + r^4) ... multiplied out, with coefficients in the field.
    """
    root = _remainder(1 << power, _FIELD)
    found = [1]  # coefficient of y^i
    for _ in range(_DEGREE):
        shifted = [0, *found]
        scaled = [*(_remainder(_product(c, root), _FIELD) for c in found), 0]
        found = [a ^ b for a, b in zip(shifted, scaled, strict=True)]
        root = _remainder(_product(root, root), _FIELD)
    return sum(coefficient << place for place, coefficient in enumerate(found))

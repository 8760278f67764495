"""Primitive BCH codes over GF(2^m), shortened to a number of data bits."""

from __future__ import annotations

from functools import lru_cache

from campaign.bits.field import PRIMITIVE, conjugates, minimal_polynomial, product, remainder
from campaign.bits.linear import LinearCode
from campaign.bits.locator import Locator

WIDEST_CHECK = 64
"""Bits that a check word can have."""
TABLE_BITS = 21
"""Check bits up to which a table with a row for each syndrome is kept: at most 12 MB."""


@lru_cache(maxsize=64)
def bch(errors: int, data_bits: int = 64) -> LinearCode:
    """The code that corrects `errors` errors in `data_bits` data bits and its check bits.

    A codeword is a multiple of the generator, whose roots are the first 2 * `errors` powers of x in
    the smallest field that has room for the codeword. Data bit i is the coefficient of
    x^(i + check bits), check bit j that of x^j. Source: Bose & Ray-Chaudhuri, 1960; Hocquenghem,
    1959; Lin & Costello, Error Control Coding, chapter 6.

    Args:
        errors: At least 1.
        data_bits: A multiple of 8.

    Raises:
        ValueError: If no field here is large enough, or a check word would be too wide.

    Example:
        >>> code = bch(1)
        >>> code.check_bits, code.columns[:3]
        (7, (9, 18, 36))
        >>> bch(6, 512).check_bits
        60
    """
    degree, rows = _degree(errors, data_bits)
    generator = 1
    for conjugate in _roots(errors, degree):
        generator = product(generator, minimal_polynomial(min(conjugate), degree))
    columns, power = [], remainder(1 << rows, generator)
    for _ in range(data_bits):
        columns.append(power)
        power = remainder(power << 1, generator)
    search = Locator(degree, errors, data_bits, rows) if rows > TABLE_BITS else None
    return LinearCode(tuple(columns), rows, errors, search)


def _degree(errors: int, data_bits: int) -> tuple[int, int]:
    """The degree of the smallest field with room for a codeword, and the check bits there."""
    for degree in PRIMITIVE:
        rows = sum(len(conjugate) for conjugate in _roots(errors, degree))
        if data_bits + rows >= 1 << degree:
            continue
        if rows > WIDEST_CHECK:
            raise ValueError(
                f"errors {errors} in {data_bits} data bits take {rows} check bits, more than the "
                f"{WIDEST_CHECK} of a check word; correct fewer errors, or take fewer data bits"
            )
        return degree, rows
    raise ValueError(
        f"errors {errors} in {data_bits} data bits: a codeword has at most "
        f"{(1 << max(PRIMITIVE)) - 1} bits; correct fewer errors, or take fewer data bits"
    )


def _roots(errors: int, degree: int) -> list[frozenset[int]]:
    """The classes of conjugates that x, x^3, ... x^(2 errors - 1) belong to, each once."""
    return list(dict.fromkeys(conjugates(power, degree) for power in range(1, 2 * errors, 2)))

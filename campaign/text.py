"""Rates and targets as people read them."""

from __future__ import annotations

import math


def rate_text(rate: float, digits: int = 2) -> str:
    """A small probability with `digits` digits.

    Example:
        >>> rate_text(1e-6), rate_text(3.16e-5), rate_text(0.0)
        ('1e-6', '3.2e-5', '0')
    """
    if rate == 0:
        return "0"
    mantissa, exponent = f"{rate:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def t_text(t: float) -> str:
    """A weight-scaling target, large powers of two as such.

    Example:
        >>> t_text(2.0), t_text(2.0**120), t_text(65504.0)
        ('2', '2^120', '65504')
    """
    mantissa, exponent = math.frexp(t)
    if mantissa == 0.5 and abs(exponent - 1) >= 10:
        return f"2^{exponent - 1}"
    return f"{t:.6g}" if 1e-4 <= abs(t) < 1e7 else rate_text(t, 3)

"""Numbers and names as people read them; pure text."""

from __future__ import annotations

import math
from collections.abc import Mapping

from campaign.text import t_text

_USUAL = {"nonfinite": "propagate", "fault": "bit_flip", "targets": "weights"}


def power(text: str) -> str:
    """A number as LaTeX and matplotlib set it, from the text of the functions above.

    Example:
        >>> power("1e-6"), power("2^120")
        ('10^{-6}', '2^{120}')
    """
    if "^" in text:
        base, exponent = text.split("^")
        return f"{base}^{{{exponent}}}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"10^{{{exponent}}}" if mantissa == "1" else rf"{mantissa}\times10^{{{exponent}}}"


def method_label(method: str, t: float | None) -> str:
    """A protection with its `t`, where it has one.

    Example:
        >>> method_label("weight_scaling", 2.0)
        'weight_scaling · t=2'
    """
    return method if t is None or math.isnan(t) else f"{method} · t={t_text(t)}"


def curve_key(row: Mapping[str, object]) -> str:
    """The name of the curve that a row belongs to.

    Depends on this row alone. What is as usual (``propagate``, ``bit_flip``, ``weights``) goes
    unsaid, and so does the dataset.

    Args:
        row: A mapping or pandas row with the columns of a curve.

    Example:
        >>> curve_key({"model": "resnet20", "dtype": "fp32", "method": "saf", "t": None,
        ...            "nonfinite": "zero", "fault": "bit_flip", "targets": "weights"})
        'resnet20 · fp32 · saf · nonfinite=zero'
    """
    t = row["t"]
    parts = [str(row["model"]), str(row["dtype"])]
    parts.append(method_label(str(row["method"]), None if t is None else float(str(t))))
    seed = row.get("train_seed")
    if seed is not None and not math.isnan(float(str(seed))):
        parts.append(f"train_seed={float(str(seed)):.0f}")
    parts += [f"{key}={row[key]}" for key, usual in _USUAL.items() if row[key] != usual]
    return " · ".join(parts)


def percent(share: float, digits: int = 1) -> str:
    """A share in percent, without the sign; a dash where there is none.

    Example:
        >>> percent(0.9264), percent(float("nan"))
        ('92.6', '-')
    """
    return "-" if math.isnan(share) else f"{100 * share:.{digits}f}"

"""Rates and targets as people read them; texts without their secrets."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

HIDDEN = "***"
"""What stands in the place of a secret."""
_NAMES = r"(?:password|passwd|pwd|token|secret|api_?key|access_?key)"
_SECRET = re.compile(rf"(?i)(?:^|[_-]){_NAMES}$")
_PASSWORD = re.compile(r"(?<=://)([^\s/@:]*):[^\s]*@")
_TOKEN_AS_USER = re.compile(r"(?<=http://|ttps://)[^\s/@:]{8,}@")
_OPTION = re.compile(
    rf"(?i)\b((?:\w+[_-])*{_NAMES}(?:[_-]\w+)*['\"]?\s*[=:]\s*|(?:\w+-)*(?:sig|signature|credential)=)"
    r"(?!//)['\"]?[^\s&;,'\"{}\[\]]+['\"]?"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/._~-]{8,}=*")


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


def redacted(text: str) -> str:
    """A URI, or any text around URIs and options, without its passwords and tokens.

    Example:
        >>> redacted("postgresql://ann:s3c/r@t@db.lab/mlflow?token=abc")
        'postgresql://ann:***@db.lab/mlflow?token=***'
    """
    text = _TOKEN_AS_USER.sub(f"{HIDDEN}@", _PASSWORD.sub(rf"\1:{HIDDEN}@", text))
    return _BEARER.sub(rf"\1 {HIDDEN}", _OPTION.sub(rf"\1{HIDDEN}", text))


def redacted_values(values: Mapping[str, object]) -> dict[str, object]:
    """What came from YAML or JSON, every text `redacted`, and whole what is named a secret.

    Example:
        >>> redacted_values({"uri": ["s3://key:secret@bucket"], "password": "hunter2"})
        {'uri': ['s3://key:***@bucket'], 'password': '***'}
    """
    return {
        key: HIDDEN if isinstance(held, str) and _SECRET.search(key) else _redacted(held)
        for key, held in values.items()
    }


def _redacted(value: object) -> object:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return redacted_values(value)
    return [_redacted(held) for held in value] if isinstance(value, list | tuple) else value

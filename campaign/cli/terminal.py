"""What a stream can show: block characters, or ASCII alone."""

from __future__ import annotations

import os
import sys
from typing import TextIO

_SIGNS = str.maketrans({"·": "|", "\u00d7": "x", "…": "~", "²": "2", "±": "+"})
_POOR = ("dumb", "unknown")


def shows_blocks(stream: TextIO) -> bool:
    """Whether a stream takes block characters: its encoding has them, and its terminal says so.

    A file has no terminal, whatever ``TERM`` says.
    """
    poor = stream.isatty() and os.environ.get("TERM", "") in _POOR
    return "utf" in (stream.encoding or "").lower() and not poor


def printable(text: str, *, ascii_only: bool | None = None) -> str:
    """The text with nothing that the stream cannot show.

    Args:
        text: Any.
        ascii_only: None asks standard output.

    Example:
        >>> printable("resnet20 · fp32", ascii_only=True)
        'resnet20 | fp32'
    """
    if ascii_only is None:
        ascii_only = not shows_blocks(sys.stdout)
    return text.translate(_SIGNS).encode("ascii", "replace").decode() if ascii_only else text

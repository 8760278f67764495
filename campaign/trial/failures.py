"""What an exception in a trial means: whether memory ran out, and the line that a row keeps."""

from __future__ import annotations

from campaign.lazy import torch
from campaign.records import Failure
from campaign.text import redacted

SIGNS = ("can't allocate memory", "not enough memory")
"""What torch's allocator for CPUs says in its RuntimeError, on Linux and on Windows."""


def is_short(error: Exception) -> bool:
    """Whether memory ran out, of a GPU or of the host.

    Example:
        >>> is_short(MemoryError()), is_short(RuntimeError("shapes differ"))
        (True, False)
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def failure_of(error: Exception, attempt: int, seconds: float) -> Failure:
    """Why a trial that raised has no result."""
    status = "oom" if is_short(error) else "error"
    return Failure(status, type(error).__name__, str(error), attempt, seconds)


def first_line(text: str) -> str:
    """The first line that says something, at most 500 characters, without passwords."""
    lines = [line.strip() for line in redacted(text).splitlines() if line.strip()]
    return lines[0][:500] if lines else ""

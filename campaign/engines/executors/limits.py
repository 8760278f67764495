"""What bounds a run on Ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Limits:
    """How many workers, and how long things may take; see `RayExecutor`."""

    workers: int | Literal["auto"]
    batch_seconds: float
    patience_seconds: float
    grace_seconds: float

"""Measure how neural networks survive bit errors in their stored weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from campaign.notebook import Results

__version__ = "0.1.0"

SEMANTICS = 2
"""The meaning of a trial. Part of every identity; raised when the same spec gives other rows."""


def load(folder: str | Path) -> Results:
    """A results folder, to look at from Python; see `campaign.notebook.Results`.

    Raises:
        SetupError: If the folder holds no results.
    """
    from campaign.notebook import Results

    return Results(folder)

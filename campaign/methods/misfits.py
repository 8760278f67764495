"""Why methods of one stack contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from campaign.methods.base import Method


def out_of_scale(method: Method, before: Sequence[Method]) -> str | None:
    """Why a bound for activations as trained has no meaning beside `method`, or None."""
    pairs = [pair for other in before for pair in ((method, other), (other, method))]
    for bounding, scaling in pairs:
        if bounding.bounds_as_trained and "activation" in scaling.rescales:
            return (
                f"{scaling.name} leaves activations larger by its constants, and {bounding.name} "
                "bounds them as trained; use divide: layer, or ranger, which learns its bounds"
            )
    return None

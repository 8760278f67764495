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


def stored_twice(method: Method, before: Sequence[Method]) -> str | None:
    """Why weights that pass through words in training do so for one method only, or None."""
    others = [other.name for other in before if other.fits_format]
    if not others or not method.fits_format:
        return None
    return (
        f"{others[0]} stands before it and trains weights as the number format stores them "
        "already; leave one out, or its option that does so"
    )

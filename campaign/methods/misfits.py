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


def frozen(method: Method, before: Sequence[Method]) -> str | None:
    """Why a training that leaves the weights as they are has no meaning beside another, or None."""
    trained = [each for each in (*before, method) if each.fits]
    keeping = [each.name for each in trained if each.freezes_weights]
    if not method.fits or not keeping or len(trained) < 2:
        return None
    return (
        f"{' and '.join(each.name for each in trained)} are trained together, and {keeping[0]} "
        "trains nothing but its bounds; leave one out"
    )

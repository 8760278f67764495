"""Why methods of one stack contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from campaign.methods.base import Method


def beside(method: Method, before: Sequence[Method]) -> str | None:
    """Why `method` has no meaning with those before it, or None."""
    return out_of_scale(method, before) or frozen(method, before) or stored_twice(method, before)


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


def stored_twice(method: Method, before: Sequence[Method]) -> str | None:
    """Why weights that pass through words in training do so for one method only, or None."""
    others = [other.name for other in before if other.fits_format]
    if not others or not method.fits_format:
        return None
    return (
        f"{others[0]} stands before it and trains weights as the number format stores them "
        "already; leave one out, or its option that does so"
    )

"""The bits of a word that do most harm: their flips tell ruinous fault maps from the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from campaign.lazy import np
from campaign.trial.memory import Storage, Stored

if TYPE_CHECKING:
    from campaign.faults.subject import Flips

WORST_CLASSES = ("exponent_msb", "msb")
"""The class that a format has first of these is the worst one."""


def worst_positions(storage: Storage) -> tuple[int, ...]:
    """Bit positions of payload words that are of the worst class and may flip, ascending."""
    classes = storage.dtype.bit_classes
    worst = next((classes[name] for name in WORST_CLASSES if name in classes), range(0))
    return tuple(sorted(set(worst) - storage.exempt.payload))


def exposed_worst(memory: Iterable[Stored], storage: Storage) -> int:
    """How many such bits there are in a memory."""
    words = sum(stored.fields["payload"].data.numel() for stored in memory)
    return words * len(worst_positions(storage))


def flipped_worst(chosen: Flips, storage: Storage) -> int:
    """How many such bits are among the `chosen`; check words and stored scales have none."""
    places, width = worst_positions(storage), storage.dtype.width
    return sum(
        int(np.isin(positions % width, places).sum())
        for key, positions in chosen.items()
        if key.field == "payload"
    )

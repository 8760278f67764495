"""What trials gave whose weights read alike: equal ones are evaluated once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from campaign.lazy import np
from campaign.trial.evaluate import Counts
from campaign.trial.touched import Touched

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

MOST_WEIGHTS = 1 << 12
"""Trials that change more weights are not looked up: two alike are not to be expected, and telling
them apart costs more."""
MOST_KEPT = 1 << 15


class Known:
    """Counts by what had changed, of the same network on the same images, the latest used last.

    Fault maps of one seed are nested across BER, so two rates often flip the same bits, and codes
    leave the same few weights wrong.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, Counts] = OrderedDict()

    def get(self, key: bytes | None) -> Counts | None:
        """What a trial with this key gave; None where there was none."""
        if key is None or key not in self._counts:
            return None
        self._counts.move_to_end(key)
        return self._counts[key]

    def keep(self, key: bytes | None, counts: Counts) -> None:
        """Remember what a trial gave; None is not remembered."""
        if key is None:
            return
        self._counts[key] = counts
        if len(self._counts) > MOST_KEPT:
            self._counts.popitem(last=False)


def key_of(changed: Mapping[str, Touched]) -> bytes | None:
    """A fingerprint of changed weights, 16 bytes: which differ from those read without faults, how.

    Words that were read again and read as before do not count.

    Args:
        changed: What was read anew, by parameter.

    Returns:
        Equal for equal weights, to the bit; None where there are too many to tell.
    """
    digest, left = hashlib.blake2b(digest_size=16), MOST_WEIGHTS
    for name, touched in changed.items():
        places, values = _differing(touched)
        left -= places.size
        if left < 0:
            return None
        digest.update(repr((name, places.size)).encode())
        digest.update(places.data)
        digest.update(values.data)
    return digest.digest()


def _differing(touched: Touched) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Flat places of the weights that differ, and their bits."""
    found, clean = _bits(touched.weight), _bits(touched.places.clean)
    differs = np.flatnonzero(found != clean)
    flat = touched.places.flat
    places = differs if flat is None else flat.cpu().numpy()[differs]
    return places, found[differs]


def _bits(weights: Tensor) -> NDArray[np.int32]:
    found: NDArray[np.int32] = weights.reshape(-1).cpu().numpy().view(np.int32)
    return found

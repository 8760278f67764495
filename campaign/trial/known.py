"""What trials gave whose weights read alike: equal ones are evaluated once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from campaign.lazy import torch
from campaign.trial.evaluate import Counts
from campaign.trial.touched import Touched

if TYPE_CHECKING:
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
        left -= places.numel()
        if left < 0:
            return None
        digest.update(repr((name, places.numel())).encode())
        digest.update(places.cpu().numpy().tobytes())
        digest.update(values.cpu().numpy().tobytes())
    return digest.digest()


def _differing(touched: Touched) -> tuple[Tensor, Tensor]:
    """Flat places of the weights that differ, int64, and their bits, int32."""
    found = touched.weight.reshape(-1).view(torch.int32)
    clean = touched.places.clean.reshape(-1).view(torch.int32)
    differs = (found != clean).nonzero()[:, 0]
    flat = touched.places.flat
    return differs if flat is None else flat[differs], found[differs]

"""Flips of one parameter, counted and made a fingerprint of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from campaign.bits.struck import Strewn, Struck, fingerprinted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DIGEST_BYTES = 16


def counted(name: str, struck: Mapping[str, Struck | Strewn]) -> tuple[int, int, bytes]:
    """Flipped bits and words of a parameter, and their digest as of `Faults`.

    Args:
        name: The parameter.
        struck: What flips of each field, in the order of `Stored.fields`; only where a bit does.
    """
    if not struck:
        return 0, 0, b""
    digest, bits, words = hashlib.blake2b(digest_size=_DIGEST_BYTES), 0, 0
    for field, held in struck.items():
        digest.update(heading(name, field))
        for part in held.fingerprint():
            digest.update(part)
        bits, words = bits + held.bits, words + held.words
    return bits, words, digest.digest()


def heading(name: str, field: str) -> bytes:
    """What the digest of the flips of a field begins with."""
    return f"{name}\0{field}\0".encode()


def digest_of(heading: bytes, places: NDArray[np.int64], patterns: NDArray[np.integer]) -> bytes:
    """The digest of `counted` where flips lie in one field and are at most `MANY`.

    Args:
        heading: Of the parameter and the field.
        places: As of `Struck`.
        patterns: As of `Struck`.
    """
    parts = (heading, fingerprinted(places), fingerprinted(patterns))
    return hashlib.blake2b(b"".join(parts), digest_size=_DIGEST_BYTES).digest()

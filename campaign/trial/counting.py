"""Flips of one parameter, counted and made a fingerprint of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from campaign.bits.struck import Strewn, Struck


def counted(name: str, struck: Mapping[str, Struck | Strewn]) -> tuple[int, int, bytes]:
    """Flipped bits and words of a parameter, and their digest as of `Faults`.

    Args:
        name: The parameter.
        struck: What flips of each field, in the order of `Stored.fields`; only where a bit does.
    """
    if not struck:
        return 0, 0, b""
    digest, bits, words = hashlib.blake2b(digest_size=16), 0, 0
    for field, held in struck.items():
        digest.update(f"{name}\0{field}\0".encode())
        for part in held.fingerprint():
            digest.update(part)
        bits, words = bits + held.bits, words + held.words
    return bits, words, digest.digest()

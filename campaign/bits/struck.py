"""Which words flipped bits lie in, and the patterns by which they change: numpy, for few flips."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from campaign.bits.words import Words
from campaign.lazy import np, torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_CARRIERS = ((8, "uint8"), (16, "int16"), (32, "int32"), (64, "int64"))
_WORTH_ALL = 8
"""With a flip for every so many words, to gather and sort out words costs more than all of them."""
MANY = 1 << 16
"""Flips of one field from which on their fingerprint is made in another way."""


class Struck(NamedTuple):
    """Words with a flipped bit."""

    places: NDArray[np.int64]
    """Flat, ascending and distinct, shape (m,)."""
    patterns: NDArray[np.integer]
    """What they are XORed with, never 0, in the dtype of the words, shape (m,)."""
    positions: NDArray[np.int64]
    """The bits that flip, as in `campaign.bits.flip`, ascending, shape (k,)."""

    @property
    def bits(self) -> int:
        """How many bits flip."""
        return self.positions.size

    @property
    def words(self) -> int:
        """How many words have a flipped bit."""
        return self.places.size

    def applied(self, words: Words) -> Words:
        """The words with the flips; `words` is left unchanged."""
        data = words.data.clone(memory_format=torch.contiguous_format)
        self.flip_within(data.view(-1), self.places)
        return Words(data, words.width)

    def flip_within(self, data: Tensor, where: NDArray[np.int64]) -> None:
        """Flip in place; `data`, shape (n,), holds the words at `where`."""
        index = torch.from_numpy(where).to(data.device)
        data[index] ^= torch.from_numpy(self.patterns).to(data.device)

    def fingerprint(self) -> Iterator[bytes | memoryview]:
        """What tells these flips from others, on any machine.

        Places and patterns as little-endian int64; of more than `MANY` flips, sha256 of their
        positions, which says the same in a fifth of the time.
        """
        if self.bits > MANY:
            yield _digest(self.positions)
            return
        yield fingerprinted(self.places)
        yield fingerprinted(self.patterns)


class Strewn(NamedTuple):
    """Flips in so many of the words that all words are gone through: as of `Struck`."""

    mask: NDArray[np.unsignedinteger]
    """What each word is XORed with, shape (n,)."""
    positions: NDArray[np.int64]

    @property
    def bits(self) -> int:
        """How many bits flip."""
        return self.positions.size

    @property
    def words(self) -> int:
        """How many words have a flipped bit."""
        return int(np.count_nonzero(self.mask))

    def applied(self, words: Words) -> Words:
        """The words with the flips; `words` is left unchanged."""
        mask = torch.from_numpy(self.mask.view(_carrier(words))).to(words.data.device)
        return Words(words.data ^ mask.view(words.data.shape), words.width)

    def fingerprint(self) -> Iterator[bytes]:
        """As of `Struck` with more than `MANY` flips."""
        yield _digest(self.positions)


def strike(words: Words, positions: NDArray[np.int64]) -> Struck | Strewn:
    """What flips at `positions` change, in the form that costs less; arguments as `struck_words`.

    Example:
        >>> import numpy, torch
        >>> strike(Words(torch.zeros(9), 8), numpy.array([0, 2, 71])).words
        2
    """
    count = words.data.numel()
    if positions.size <= MANY or positions.size * _WORTH_ALL < count:
        return struck_words(words, positions)
    ordered, places, bits = _split(words, positions)
    mask = np.zeros(count, dtype=f"u{_carrier(words).lstrip('u')}")
    np.add.at(mask, places, np.left_shift(mask.dtype.type(1), bits.astype(mask.dtype)))
    return Strewn(mask, ordered)


def struck_words(words: Words, positions: NDArray[np.int64]) -> Struck:
    """What flips at `positions` change, as `campaign.bits.flip_patterns` says it.

    Args:
        words: The stored words.
        positions: int64, shape (k,), distinct, in any order, each in [0, words.bits).

    Raises:
        ValueError: If a position is outside the stored bits or stands twice.

    Example:
        >>> import numpy, torch
        >>> found = struck_words(Words(torch.zeros(9), 8), numpy.array([0, 2, 71]))
        >>> found.places.tolist(), found.patterns.tolist()
        ([0, 8], [5, 128])
    """
    ordered, places, bits = _split(words, positions)
    single = np.left_shift(1, bits, out=bits)
    again = places[1:] == places[:-1]
    dtype = _carrier(words)
    if not again.any():
        return Struck(places, single.astype(dtype), ordered)
    first = np.append(True, ~again)
    starts, others = np.flatnonzero(first), np.flatnonzero(again) + 1
    patterns = single[starts]
    # Of the flips until one of the others, itself included, as many as are others start no word.
    np.add.at(patterns, others - np.arange(1, others.size + 1), single[others])
    return Struck(places[starts], patterns.astype(dtype), ordered)


def fingerprinted(numbers: NDArray[np.integer]) -> memoryview:
    """Numbers as the bytes of little-endian int64, on any machine."""
    return numbers.astype("<i8", copy=False).data


def _carrier(words: Words) -> str:
    """Name of the dtype of the words."""
    return next(name for most, name in _CARRIERS if words.width <= most)


class _Split(NamedTuple):
    """Positions, ascending, and of each its word and its bit in it."""

    ordered: NDArray[np.int64]
    places: NDArray[np.int64]
    bits: NDArray[np.int64]


def _split(words: Words, positions: NDArray[np.int64]) -> _Split:
    """Arguments and errors as of `struck_words`."""
    width, ordered = words.width, _ascending(positions)
    if ordered.size and (ordered[0] < 0 or ordered[-1] >= words.bits):
        raise ValueError(f"positions {ordered[0]}..{ordered[-1]}: allowed 0..{words.bits - 1}")
    if width & (width - 1):
        return _Split(ordered, *np.divmod(ordered, width))
    return _Split(ordered, ordered >> (width.bit_length() - 1), ordered & (width - 1))


def _digest(ordered: NDArray[np.int64]) -> bytes:
    """sha256 of ascending positions, at least one."""
    dtype = "<u4" if ordered[-1] < 1 << 32 else "<u8"
    return hashlib.sha256(ordered.astype(dtype).data).digest()


def _ascending(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted, unless they are already."""
    if positions.size < 2:
        return positions
    if bool((positions[1:] > positions[:-1]).all()):
        return positions
    ordered = np.sort(positions)
    if bool((ordered[1:] == ordered[:-1]).any()):
        raise ValueError("a position stands twice; flipping it would cancel")
    return ordered

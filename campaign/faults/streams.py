"""A named reproducible stream of random numbers for each seed and stored field."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Any, cast

from campaign.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


_AT_ONCE = 4
"""Numbers that a step of Philox gives."""
_WORTH_A_JUMP = 1024
_NUMBERS = "campaign-stream"


def derived_seed(seed: int, *purpose: str | int) -> int:
    """Another seed for another purpose: no stream of it has to do with one of `seed`.

    Example:
        >>> derived_seed(7, "map", 1) == derived_seed(7, "map", 2)
        False
    """
    text = "\0".join(map(str, ("campaign-seed", seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


@dataclass
class Stream:
    """Uniform numbers decided by (seed, tensor, field, width) and by nothing else.

    Neither the method nor the worker, the device or the order of trials enters, so the payload
    faults of two methods with words of equal width are the same bits (common random numbers).
    Only the raw 64-bit output of Philox is used: it is fixed by its specification, while the
    distributions of ``numpy.random.Generator`` may change between releases.

    Args:
        seed: The seed of the trial.
        tensor: Name of the parameter.
        field: Which words of the parameter: ``payload``, ``scale``, ``check0``, ...
        width: Bits per word.

    Source:
        Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011.

    Example:
        >>> a, b = Stream(7, "fc.weight", "payload", 32), Stream(7, "fc.weight", "payload", 32)
        >>> bool((a.uniform(4) == b.uniform(4)).all())
        True
    """

    seed: int
    tensor: str
    field: str
    width: int
    _bits: np.random.Philox = dataclass_field(init=False, repr=False)
    _drawn: int = dataclass_field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        self._bits = np.random.Philox(key=self._key(_NUMBERS))

    def copy(self) -> Stream:
        """Another stream of the same numbers from here on.

        Example:
            >>> stream = Stream(7, "w", "payload", 8)
            >>> bool((stream.copy().uniform(4) == stream.uniform(4)).all())
            True
        """
        other = Stream(self.seed, self.tensor, self.field, self.width)
        other._bits.state, other._drawn = self._bits.state, self._drawn
        return other

    def coins(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A fair 0 or 1 for each place, fixed by the stream and the place alone.

        It does not matter what else was or will be drawn. Source: the finalizer of SplitMix64
        (Steele et al., OOPSLA 2014) of the place, keyed twice.

        Example:
            >>> Stream(7, "w", "payload", 8).coins(np.array([3, 4, 5]))
            array([1, 0, 0], dtype=uint8)
        """
        first, second = self._key("campaign-coins")
        mixed = _mixed(places.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + first)
        return (_mixed(mixed ^ second) >> np.uint64(63)).astype(np.uint8)

    def _key(self, purpose: str) -> NDArray[np.uint64]:
        return _key_of((self.seed, self.tensor, self.field, self.width), purpose)

    def uniform(self, count: int) -> NDArray[np.float64]:
        """`count` numbers in [0, 1), multiples of 2^-53."""
        return uniform_of(self.raw(count))

    def raw(self, count: int) -> NDArray[np.uint64]:
        """`count` numbers as Philox gives them: `uniform_of` makes them uniform."""
        self._drawn += count
        found: NDArray[np.uint64] = self._bits.random_raw(count)
        return found

    def skip(self, count: int) -> None:
        """Leave out `count` numbers, as if `uniform` had drawn them.

        Example:
            >>> a, b = Stream(7, "w", "payload", 8), Stream(7, "w", "payload", 8)
            >>> a.skip(1001)
            >>> bool((a.uniform(4) == b.uniform(1005)[1001:]).all())
            True
        """
        rest = count
        if count >= _WORTH_A_JUMP:
            begun = -self._drawn % _AT_ONCE
            self._bits.random_raw(begun, output=False)
            self._bits.advance((count - begun) // _AT_ONCE)
            rest = (count - begun) % _AT_ONCE
        if rest:
            self._bits.random_raw(rest, output=False)
        self._drawn += count


class Streams:
    """The `Stream` of each of many words, drawn side by side by one generator.

    To make a generator takes longer than to draw a hundred numbers.

    Args:
        seed: The seed of the trial.
        places: Tensor, field and width of each, as of `Stream`.

    Example:
        >>> side = Streams(7, [("v", "payload", 8), ("w", "payload", 8)]).raw([1], 0, 8)
        >>> bool((side == Stream(7, "w", "payload", 8).raw(8)).all())
        True
    """

    def __init__(self, seed: int, places: Iterable[tuple[str, str, int]]) -> None:
        digests = [_digest_of((seed, *place), _NUMBERS) for place in places]
        self._keys = _numbers_of(b"".join(digests)).reshape(-1, 2)
        self._bits = np.random.Philox(key=0)

    def raw(self, which: Sequence[int], start: int, count: int) -> NDArray[np.uint64]:
        """`Stream.raw` of some streams, from their `start`-th number on, a multiple of 4.

        Returns:
            Shape (len(which), count).
        """
        numbers = np.empty((len(which), count), dtype=np.uint64)
        counter, empty = np.zeros(4, dtype=np.uint64), np.zeros(_AT_ONCE, dtype=np.uint64)
        counter[0] = start // _AT_ONCE
        inner = {"counter": counter, "key": counter[:2]}
        state: dict[str, Any] = {"bit_generator": "Philox", "state": inner, "buffer": empty}
        state |= {"buffer_pos": _AT_ONCE, "has_uint32": 0, "uinteger": 0}
        for row, place in enumerate(which):
            inner["key"] = self._keys[place]
            self._bits.state = cast("Any", state)
            numbers[row] = self._bits.random_raw(count)
        return numbers


def uniform_of(raw: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1), multiples of 2^-53, of raw ones, which are overwritten.

    Example:
        >>> uniform_of(np.array([0, 1 << 63], dtype=np.uint64))
        array([0. , 0.5])
    """
    raw >>= np.uint64(11)
    numbers = raw.view(np.int64).astype(np.float64)  # signed ones are converted sooner
    numbers *= 2.0**-53
    return numbers


def _key_of(place: tuple[int, str, str, int], purpose: str) -> NDArray[np.uint64]:
    """Two numbers that no other stream has, and this one for no other purpose."""
    return _numbers_of(_digest_of(place, purpose))


def _digest_of(place: tuple[int, str, str, int], purpose: str) -> bytes:
    seed, tensor, field, width = place
    name = f"{seed}\0{tensor}\0{field}\0{width}".encode()
    return hashlib.blake2b(name, digest_size=16, person=purpose.encode()).digest()


def _numbers_of(digests: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))

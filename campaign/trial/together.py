"""Few flips of many parameters, struck and read in one go instead of parameter by parameter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from campaign.bits import Words
from campaign.bits.struck import MANY, struck_words
from campaign.faults import FieldKey
from campaign.lazy import np, torch
from campaign.trial.counting import digest_of, heading
from campaign.trial.memory import under_policy
from campaign.trial.touched import Places, Reader, Touched

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from campaign.faults.subject import Flips


class Readers:
    """The readers of a memory, in its order.

    With few flips a parameter, calls cost more than what they do. So the parameters that
    `Reader.joins` is said of count as one: what flips is a word of all of them.

    Args:
        readers: Of each parameter, by name.
    """

    def __init__(self, readers: Mapping[str, Reader]) -> None:
        self._readers = readers
        alike = {name: reader for name, reader in readers.items() if reader.joins}
        widths = {reader.stored.fields["payload"].width for reader in alike.values()}
        self._joined = _Joined(alike) if len(alike) > 1 and len(widths) == 1 else None

    def reread(self, chosen: Flips) -> Iterator[tuple[str, Touched]]:
        """What `Reader.reread` gives of each parameter with a flip, by name.

        Raises:
            ValueError: If a position is outside the stored bits or stands twice.
        """
        joined = {} if self._joined is None else self._joined.reread(chosen)
        for name, reader in self._readers.items():
            touched = joined[name] if name in joined else reader.reread(chosen)
            if touched is not None:
                yield name, touched


class _Joined:
    """Parameters whose words are numbers as they stand, one behind the other.

    Args:
        readers: Of words of the same width, by name.
    """

    def __init__(self, readers: Mapping[str, Reader]) -> None:
        self._names, self._readers = list(readers), list(readers.values())
        self._keys = [FieldKey(reader.stored.name, "payload") for reader in self._readers]
        self._headings = [heading(*key) for key in self._keys]
        words = [reader.stored.fields["payload"] for reader in self._readers]
        self._data = [held.data.view(-1).numpy() for held in words]
        self._counts = np.array([held.size for held in self._data], dtype=np.int64)
        self._starts = np.cumsum(self._counts) - self._counts
        self._width = words[0].width
        # As many words as all have, in the memory of one: only their number is looked at.
        self._all = Words(words[0].data.new_zeros(1).expand(int(self._counts.sum())), self._width)

    def reread(self, chosen: Flips) -> Mapping[str, Touched]:
        """What flips change in the parameters that have one, by name.

        Nothing where one reader after the other is to be asked: where that costs as little, and
        where positions lie outside, for the reader says which.
        """
        hit = [
            (place, positions)
            for place, key in enumerate(self._keys)
            if (positions := chosen.get(key)) is not None and positions.size
        ]
        if len(hit) < 2 or sum(positions.size for _, positions in hit) > MANY:
            return {}
        which, sizes = [place for place, _ in hit], [positions.size for _, positions in hit]
        positions = np.concatenate([positions for _, positions in hit])
        bits = np.repeat(self._counts[which] * self._width, sizes)
        inside = (positions >= 0).all() and (positions < bits).all()
        return self._touched(which, positions, sizes) if inside else {}

    def _touched(
        self, which: Sequence[int], positions: NDArray[np.int64], bits: Sequence[int]
    ) -> Mapping[str, Touched]:
        """What flips change in the parameters `which`, each of which has one.

        Args:
            which: Places of the parameters.
            positions: In the words of each parameter, one parameter behind the other.
            bits: How many of these each has.
        """
        starts = self._starts[which]
        offsets = np.repeat(starts * self._width, bits)
        struck = struck_words(self._all, positions + offsets)
        begins = np.searchsorted(struck.places, starts)
        sizes = np.diff(begins, append=struck.words)
        flat, counts = struck.places - np.repeat(starts, sizes), sizes.tolist()
        parts = [slice(*ends) for ends in itertools.pairwise([*begins.tolist(), struck.words])]
        words = np.concatenate(
            [self._data[place][flat[part]] for place, part in zip(which, parts, strict=True)]
        )
        clean, value = self._numbers(words), self._numbers(words ^ struck.patterns)
        value, nonfinite = self._under_policy(value, which, counts)
        differs = value.numpy().view(np.int32) != clean.numpy().view(np.int32)
        changes = np.logical_or.reduceat(differs, begins).tolist()
        digests = [
            digest_of(self._headings[place], flat[part], struck.patterns[part])
            for place, part in zip(which, parts, strict=True)
        ]
        held = zip(
            *(each.split_with_sizes(counts) for each in (value, torch.from_numpy(flat), clean)),
            strict=True,
        )
        found = zip(bits, counts, digests, nonfinite, held, changes, strict=True)
        return {
            self._names[place]: Touched(b, w, digest, 0, 0, n, weight, Places(at, before), changed)
            for place, (b, w, digest, n, (weight, at, before), changed) in zip(
                which, found, strict=True
            )
        }

    def _numbers(self, words: NDArray[np.integer]) -> Tensor:
        """Words as the numbers that they are."""
        return self._readers[0].storage.dtype.decode(
            Words(torch.from_numpy(words), self._width), None
        )

    def _under_policy(
        self, value: Tensor, which: Sequence[int], sizes: Sequence[int]
    ) -> tuple[Tensor, Sequence[int]]:
        """Values as the non-finite policy leaves them, and how many of each parameter it met."""
        if np.isfinite(value.numpy()).all():
            return value, [0] * len(which)
        readers = [self._readers[place] for place in which]
        found = [
            under_policy(part, reader.stored, reader.storage)
            for reader, part in zip(readers, value.split_with_sizes(list(sizes)), strict=True)
        ]
        return torch.cat([values for values, _ in found]), [count for _, count in found]

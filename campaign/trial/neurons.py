"""Activations in faultable memory: outputs of layers, stored between a layer and what follows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from campaign.bits import Words, carrier, flip_patterns, popcount
from campaign.faults import Exposed, FaultModel, FieldKey
from campaign.formats.ieee import Float32, Float64
from campaign.lazy import torch
from campaign.networks.sites import Site, Visit
from campaign.trial.memory import Storage, fingerprint

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from campaign.lazy import np

BLOCK = 64
"""Images whose activations are one field: faults are drawn for as many at once."""
CHUNK = 1 << 16
"""Numbers that a CPU writes and reads at once: what is made on the way stays in its cache."""
FIELD = "activation"
"""What the words of a block are called beside ``payload``, ``scale`` and ``check0``."""


@dataclass(frozen=True)
class Place:
    """Where and how the output of one site is stored.

    Args:
        axis: The dimension of the output that grows with the images.
        values: Numbers that one image writes.
        scale: Scale of the number format in protected memory, None where it has none.
        largest: Largest fault-free magnitude, for the policy ``clamp``.
    """

    axis: int
    values: int
    scale: Tensor | None
    largest: float

    def rows(self, value: Tensor) -> Tensor:
        """The numbers of each image, (images, values); the images come first wherever they were.

        Where several entries of the dimension belong to one image, they are neighbours.
        """
        return value.movedim(self.axis, 0).reshape(-1, self.values)

    def restored(self, rows: Tensor, like: Tensor) -> Tensor:
        """The inverse of `rows`, in the shape of `like`."""
        shape = like.movedim(self.axis, 0).shape
        return rows.view(shape).movedim(0, self.axis)


@dataclass(frozen=True)
class Neurons:
    """The outputs of exposed layers: each inference writes its activations once and reads them so.

    They are stored in the number format of the weights: rounded to it, saturating, with a scale of
    the site's own where the format has one. fp32 and fp64 hold every float32 as it is, infinities
    included. What is read then goes through the policy for non-finite numbers. Methods that protect
    stored weights do not act on activations.

    Args:
        storage: Number format, exempt bits and the policy.
        places: The exposed sites, in the order of the forward pass.
    """

    storage: Storage
    places: Mapping[Site, Place]

    def exposed_bits(self, images: int) -> int:
        """Bits that a fault may hit while `images` are answered."""
        width = self.storage.dtype.width - len(self.storage.exempt.payload)
        return width * images * sum(place.values for place in self.places.values())

    def stored(self, site: Site, value: Tensor) -> Tensor:
        """What the network goes on with at a site without faults; gradients pass unchanged."""
        place = self.places.get(site)
        if place is None:
            return value
        if self._exact:
            return self._finite(value, place)
        _, rows = self._through(place.rows(value.detach()), place)
        read = self._finite(place.restored(rows, value), place)
        return value + (read - value).detach() if value.requires_grad else read

    def struck(self, site: Site, value: Tensor, drawn: Strikes, first: int) -> Tensor:
        """What the network goes on with at a site under faults.

        Args:
            site: Where.
            value: float32, the output of a batch that starts at a block; written over where
                that saves a copy, for nobody else holds what a layer has just made.
            drawn: Draws the faults of each block and remembers them.
            first: Which block the batch starts at.
        """
        place = self.places.get(site)
        if place is None:
            return value
        rows = place.rows(value)
        words, read = self._through(rows, place)
        for start in range(0, len(rows), BLOCK):
            block = Words(words.data[start : start + BLOCK], words.width)
            hit = drawn.draw(site, first + start // BLOCK, block)
            if hit is None:
                continue
            index, patterns = (part.to(rows.device) for part in hit)
            struck = Words(block.data.reshape(-1)[index] ^ patterns, words.width)
            now = self.storage.dtype.decode(struck, place.scale)
            read[start : start + BLOCK].view(-1)[index] = now
        return self._finite(place.restored(read, value), place)

    @property
    def _exact(self) -> bool:
        """Whether a float32 is stored as it is."""
        return isinstance(self.storage.dtype, Float32 | Float64)

    def _through(self, rows: Tensor, place: Place) -> tuple[Words, Tensor]:
        """The words that are stored and what is read, both contiguous, in the shape of `rows`."""
        dtype, rows = self.storage.dtype, rows.contiguous()
        held = carrier(dtype.width)
        if isinstance(dtype, Float32 | Float64):
            return Words(rows.to(getattr(torch, dtype.number)).view(held), dtype.width), rows
        data, read = torch.empty_like(rows, dtype=held), torch.empty_like(rows)
        size = CHUNK if rows.device.type == "cpu" else max(1, rows.numel())
        flat = (torch.split(part.view(-1), size) for part in (rows, data, read))
        for values, codes, numbers in zip(*flat, strict=True):
            words = dtype.encode(values, place.scale)
            codes.copy_(words.data)
            numbers.copy_(dtype.decode(words, place.scale))
        return Words(data, dtype.width), read

    def _finite(self, value: Tensor, place: Place) -> Tensor:
        """Numbers after the policy for non-finite ones."""
        if self.storage.nonfinite == "propagate":
            return value
        most = place.largest if self.storage.nonfinite == "clamp" else 0.0
        return torch.nan_to_num(value, nan=0.0, posinf=most, neginf=-most)


class Hit(NamedTuple):
    """What flipped in one block at one site."""

    flipped_bits: int
    flipped_words: int
    digest: bytes


class Strikes:
    """The faults of the activations under one fault map, drawn as the network is run.

    Blocks are of `BLOCK` images, counted from the first one of the map, and each block at each
    site has a stream of its own: what flips depends on the place of an image among those that are
    judged, not on the size of batches, the worker or the device. A model that looks at stored
    words sees those of the block, as earlier faults of the same inference have left them.

    Args:
        neurons: What is exposed.
        fault: Which bits flip; samples each field by itself.
        ber: Bit error rate, a probability in [0, 1].
        seed: The seed of the map.
        images: The images of the map.
    """

    def __init__(
        self, neurons: Neurons, fault: FaultModel, *, ber: float, seed: int, images: range
    ) -> None:
        self.neurons, self.fault, self.ber, self.seed = neurons, fault, ber, seed
        self.images = images
        self._hits: dict[tuple[int, int], Hit] = {}

    def visit(self, start: int) -> Visit:
        """What happens at every site of the batch that starts at the image `start`."""
        first = (start - self.images.start) // BLOCK
        return partial(self.neurons.struck, drawn=self, first=first)

    def draw(self, site: Site, block: int, words: Words) -> tuple[Tensor, Tensor] | None:
        """Indices of the words that change, and how (XOR), on the CPU; None where none does."""
        key = FieldKey(f"{site.label}#{site.place}/block{block}", FIELD)
        memory = {key: Exposed(words, self.neurons.storage.exempt.payload)}
        positions: NDArray[np.int64] | None
        positions = self.fault.sample_all(memory, self.ber, self.seed).get(key)
        if positions is None or positions.size == 0:
            return None
        index, patterns = flip_patterns(words, torch.from_numpy(positions))
        digest = hashlib.blake2b(f"{key.tensor}\0{FIELD}\0".encode(), digest_size=16)
        digest.update(fingerprint(index) + fingerprint(patterns))
        bits = int(popcount(Words(patterns, words.width)).sum())
        self._hits[block, site.place] = Hit(bits, index.numel(), digest.digest())
        return index, patterns

    def hits(self) -> Iterator[Hit]:
        """What has flipped, by block and then site."""
        return (self._hits[key] for key in sorted(self._hits))

"""Words of a stated width, held in torch integers, and the flipping of their bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from campaign.lazy import np, torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class Words:
    """A tensor of stored words.

    Args:
        data: Integer tensor of any shape and of dtype ``carrier(width)``. Bits at and above
            `width` are zero, except where `width` fills the carrier (then the top bit is the sign
            of the torch integer and means nothing more).
        width: Bits per word, 1..64.

    Example:
        >>> import torch
        >>> Words(torch.zeros(3, dtype=torch.uint8), 8).bits
        24
    """

    data: Tensor
    width: int

    @property
    def bits(self) -> int:
        """How many bits are stored: words times width, the denominator of the BER."""
        return self.data.numel() * self.width


def carrier(width: int) -> torch.dtype:
    """The torch integer that holds a word of `width` bits (torch cannot shift uint16..uint64).

    Raises:
        ValueError: If `width` is not in 1..64.

    Example:
        >>> carrier(8), carrier(12)
        (torch.uint8, torch.int16)
    """
    if not 1 <= width <= 64:
        raise ValueError(f"width {width}: a word has 1..64 bits")
    sizes = ((8, torch.uint8), (16, torch.int16), (32, torch.int32), (64, torch.int64))
    return next(dtype for most, dtype in sizes if width <= most)


def _as_carrier(value: Tensor, width: int) -> Tensor:
    """Wrap int64 patterns (only the low `width` bits count) into the carrier's range."""
    dtype = carrier(width)
    size = torch.iinfo(dtype).bits
    if dtype is torch.uint8 or size == 64:
        return (value & ((1 << width) - 1) if size < 64 else value).to(dtype)
    return signed(value & ((1 << size) - 1), size).to(dtype)


def mask_to_width(value: Tensor, width: int) -> Words:
    """Store the low `width` bits of int64 values (two's complement) as words.

    Example:
        >>> import torch
        >>> mask_to_width(torch.tensor([-1, 5]), 4).data
        tensor([15,  5], dtype=torch.uint8)
    """
    low = value if width == 64 else value & ((1 << width) - 1)
    return Words(_as_carrier(low, width), width)


def signed(value: Tensor, width: int) -> Tensor:
    """Read int64 bit patterns of `width` bits as two's complement numbers.

    Example:
        >>> import torch
        >>> signed(torch.tensor([15, 7]), 4)
        tensor([-1,  7])
    """
    if width == 64:
        return value
    sign = 1 << (width - 1)
    return ((value & ((1 << width) - 1)) ^ sign) - sign


def flip(words: Words, positions: Tensor) -> Words:
    """Flip the stored bits at `positions`.

    Args:
        words: The words to corrupt; left unchanged.
        positions: int64, shape (k,), distinct, each in [0, words.bits). Bit p is
            bit p % width (0 = least significant) of word p // width.

    Raises:
        ValueError: If a position is outside the stored bits or stands twice.

    Example:
        >>> import torch
        >>> flip(Words(torch.zeros(2, dtype=torch.uint8), 8), torch.tensor([0, 15])).data
        tensor([  1, 128], dtype=torch.uint8)
    """
    data = words.data.clone(memory_format=torch.contiguous_format)
    index, patterns = flip_patterns(words, positions)
    flat = data.view(-1)
    flat[index] ^= patterns
    return Words(data, words.width)


def flip_patterns(words: Words, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Which words change and by which XOR pattern.

    Returns:
        Word indices, int64, shape (m,), ascending and distinct; and the patterns, shape (m,), of
        the words' dtype. Arguments and errors as `flip`.
    """
    ordered = positions.sort().values
    if ordered.numel() and (int(ordered[0]) < 0 or int(ordered[-1]) >= words.bits):
        raise ValueError(
            f"positions {int(ordered[0])}..{int(ordered[-1])}: allowed 0..{words.bits - 1}"
        )
    if ordered.numel() > 1 and bool((ordered[1:] == ordered[:-1]).any()):
        raise ValueError("a position stands twice; flipping it would cancel")
    index, inverse = torch.unique_consecutive(ordered // words.width, return_inverse=True)
    single = torch.ones_like(ordered) << (ordered % words.width)
    patterns = torch.zeros_like(index).index_add_(0, inverse, single)
    return index, _as_carrier(patterns, words.width)


def stored_bits(words: Words, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The values 0 and 1 that are stored at `positions` (as in `flip`).

    Example:
        >>> import numpy, torch
        >>> words = Words(torch.tensor([1, 128], dtype=torch.uint8), 8)
        >>> stored_bits(words, numpy.array([0, 1, 15]))
        array([1, 0, 1], dtype=uint8)
    """
    index = torch.from_numpy(positions // words.width).to(words.data.device)
    held = words.data.reshape(-1)[index].to("cpu", torch.int64).numpy()
    return (held >> (positions % words.width) & 1).astype(np.uint8)


def popcount(words: Words) -> Tensor:
    """Set bits of each word, uint8 of the same shape.

    Example:
        >>> import torch
        >>> popcount(Words(torch.tensor([7, 128], dtype=torch.uint8), 8))
        tensor([3, 1], dtype=torch.uint8)
    """
    shape = (*words.data.shape, words.data.element_size())
    parts = words.data.contiguous().reshape(-1).view(torch.uint8).reshape(shape)
    value = parts - ((parts >> 1) & 0x55)
    value = (value & 0x33) + ((value >> 2) & 0x33)
    return ((value + (value >> 4)) & 0x0F).sum(-1, dtype=torch.uint8)

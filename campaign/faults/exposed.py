"""What of a memory a fault may hit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from campaign.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from campaign.bits import Words


class FieldKey(NamedTuple):
    """Where words belong: the parameter, and which of its fields (``payload``, ``check0``, ...)."""

    tensor: str
    field: str


@dataclass(frozen=True)
class Exposed:
    """Stored words and the bits of them that never flip.

    Args:
        words: The stored words.
        exempt: Bit positions within a word (0 = least significant) that never flip.

    Example:
        >>> import torch
        >>> from campaign.bits import Words
        >>> Exposed(Words(torch.zeros(3, dtype=torch.uint8), 8), frozenset({0, 7})).bits
        18
    """

    words: Words
    exempt: frozenset[int] = frozenset()

    @property
    def bits(self) -> int:
        """How many bits may flip."""
        return self.words.data.numel() * (self.words.width - len(self.exempt))

    def may_flip(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of `positions` (as in `campaign.bits.flip`) are not exempt."""
        allowed = np.ones(self.words.width, dtype=np.bool_)
        allowed[list(self.exempt)] = False
        return allowed[positions % self.words.width]

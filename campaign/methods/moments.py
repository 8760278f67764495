"""What the moments of a protection give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from campaign.bits import Words

State: TypeAlias = "Mapping[str, Tensor]"
"""Constants of one method for one parameter, kept in protected memory (never faulted)."""


class Decoded(NamedTuple):
    """Payload words after a decoder, and what it found."""

    words: Words
    corrected: int
    """Words the decoder changed because it believed them repaired."""
    detected: int
    """Words known to be wrong and not repaired."""


class Spans(NamedTuple):
    """How the words of a tensor fall into parts that `decode` reads each by itself.

    Payload words stand in flat order. A decoder that is given the payload words of any whole spans,
    shape (k,), and the check words of these must do to them what it does in the whole tensor. The
    last span of a tensor may be shorter, and have fewer check words.
    """

    words: int = 1
    """Payload words of a span."""
    checks: int = 0
    """Check words of a span, in flat order."""
    copies: int | None = None
    """Size of the first dimension of the check words where each of its indices holds `checks`
    words of every span; `decode` then gets them in the shape (copies, k / words * checks)."""


class Settled(NamedTuple):
    """How the rest of a network is adapted to what its exposed weights read as."""

    values: Mapping[str, Tensor]
    """New values of parameters and buffers that are not exposed, by name."""
    logits_divisor: float = 1.0
    """What the logits are divided by."""

"""Which bits of a memory never flip, told by bits of the payload word and by fields."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.formats import NumberFormat

SCALE, CHECKS = "scale", "checks"
"""What a spec calls stored scales and check words where it names bits."""


@dataclass(frozen=True)
class Exempt:
    """Bits that never flip.

    Args:
        payload: Positions in payload words.
        copies: Positions in payload words whose copies in check words never flip.
        checks: Whether all other bits of check words never flip.
        scales: Whether stored scales never flip.
    """

    payload: frozenset[int] = frozenset()
    copies: frozenset[int] = frozenset()
    checks: bool = False
    scales: bool = False

    @classmethod
    def of(
        cls, dtype: NumberFormat, bits: tuple[int | str, ...], only: tuple[int | str, ...] = ()
    ) -> Exempt:
        """What never flips where a spec names bits.

        A copy of a payload bit in a check word flips where that bit may flip; where `only` names
        ``checks``, it flips unless `bits` holds that bit.

        Args:
            dtype: The number format.
            bits: Positions, names of bit classes, ``scale`` and ``checks``, that never flip.
            only: The same, outside of which nothing flips; empty means all.

        Raises:
            ValueError: If the format has no such bit.

        Example:
            >>> from campaign.formats import FORMATS
            >>> Exempt.of(FORMATS.make("int4"), (0,), ("sign", "checks"))
            Exempt(payload=frozenset({0, 1, 2}), copies=frozenset({0}), checks=False, scales=True)
        """
        every = frozenset(range(dtype.width))
        never, kept = _positions(dtype, bits), _positions(dtype, only)
        payload = never | (every - kept) if only else never
        copies = every if CHECKS in bits else never if CHECKS in only else payload
        return cls(payload, copies, _frozen(CHECKS, bits, only), _frozen(SCALE, bits, only))

    def of_check(self, width: int, copied: range | None) -> frozenset[int]:
        """Positions that never flip in check words.

        Args:
            width: Of the check words.
            copied: The payload bits that they repeat, as `Method.copied_bits` says.
        """
        if copied is None:
            return frozenset(range(width)) if self.checks else frozenset()
        return frozenset(bit for bit, of in enumerate(copied) if of in self.copies)


def _frozen(field: str, bits: tuple[int | str, ...], only: tuple[int | str, ...]) -> bool:
    """Whether the words of a field never flip."""
    return field in bits or (bool(only) and field not in only)


def _positions(dtype: NumberFormat, bits: tuple[int | str, ...]) -> frozenset[int]:
    """The positions in payload words that are among the named bits."""
    found: set[int] = set()
    for bit in bits:
        if bit == CHECKS or (bit == SCALE and dtype.scale_width is not None):
            continue
        positions = [bit] if isinstance(bit, int) else dtype.bit_classes.get(bit, ())
        if not positions or not all(0 <= p < dtype.width for p in positions):
            raise ValueError(f"{dtype.label} has no bit {bit!r}")
        found.update(positions)
    return frozenset(found)


NOTHING_EXEMPT = Exempt()

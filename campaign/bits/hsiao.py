"""Hsiao's codes: single error correction, double error detection, odd columns, balanced rows."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

from campaign.bits.linear import LinearCode

CHECK_BITS = {64: 8, 32: 7, 16: 6}
"""Check bits by data bits: the codes (72,64), (39,32) and (22,16)."""
_LEFT_OUT = {
    64: (),
    32: ((0, 1, 2), (3, 4, 5), (0, 1, 6)),
    16: ((0, 1, 2), (3, 4, 5), (0, 2, 4), (1, 3, 5)),
}
"""Columns of weight 3 that a code does not need, chosen so that rows stay balanced."""


@lru_cache(maxsize=3)
def hsiao(data_bits: int) -> LinearCode:
    """The code for 64, 32 or 16 data bits.

    Columns of the parity-check matrix are distinct and of odd weight: two errors give a syndrome of
    even weight, which is no column. Source: Hsiao, IBM J. Res. Dev. 14(4), 1970.

    Example:
        >>> code = hsiao(16)
        >>> code.check_bits, [bin(column) for column in code.columns[:2]]
        (6, ['0b1011', '0b10011'])
    """
    rows = CHECK_BITS[data_bits]
    triples = [set(c) for c in combinations(range(rows), 3) if c not in _LEFT_OUT[data_bits]]
    if data_bits == 64:
        triples += [{(shift + row) % rows for row in range(5)} for shift in range(rows)]
    return LinearCode(tuple(sum(1 << row for row in rows) for rows in triples), rows)

"""Operations of reading, counted by hand for 1000 words (or less where a block is filled up)."""

from __future__ import annotations

import pytest

from campaign.bits.copies import vote_operations
from campaign.formats import FORMATS
from campaign.methods import METHODS

COUNTS = [
    ("fp32", "none", {}, 0),
    ("fp32", "weight_scaling", {"t": 1.0}, 1000),
    ("fp32", "saf", {}, 1000),
    ("fp32", "saf", {"function": "softsign"}, 3000),
    ("fp32", "saf", {"function": "hardtanh"}, 2000),
    ("fp32", "saf", {"function": "scaled_tanh"}, 3000),
    ("fp32", "range_clamp", {}, 3000),
    ("fp32", "range_clamp", {"out_of_range": "zero"}, 2000),
    ("fp32", "parity", {}, 2000),
    ("fp32", "opportunistic_parity", {}, 2000),
    ("fp32", "secded", {}, 500 * 17),
    ("int8", "secded", {}, 125 * 17),
    ("fp16", "secded", {"data_bits": 16}, 1000 * 13),
    ("fp32", "bch", {}, 500 * 29),
    ("fp32", "bch", {"errors": 1}, 500 * 15),
    ("fp32", "nmr", {}, 500 * 4),
    ("int8", "nmr", {"copies": 5}, 125 * 14),
    ("fp32", "nmr", {"vote": "median"}, 1000 * 4),
    ("fp32", "msb_copy", {}, 1000 * 7),
    ("fp32", "msb_copy", {"copies": 2}, 1000 * 2),
    ("fp32", "selective", {}, 1000 * 7),
    ("fp32", "selective_words", {}, 5 * 4),
    ("int8", "selective_words", {"share": 0.5, "copies": 5}, 63 * 14),
]


@pytest.mark.parametrize(("dtype", "name", "options", "expected"), COUNTS)
def test_operations_are_the_documented_ones(
    dtype: str, name: str, options: dict[str, object], expected: int
) -> None:
    fmt, method = FORMATS.make(dtype), METHODS.make(name, options)
    assert method.operations(1000, fmt.width) == expected
    assert method.bind(fmt).operations(1000, fmt.width) == expected


@pytest.mark.parametrize("copies", [3, 5, 7, 9])
def test_a_vote_takes_the_operations_whose_results_are_looked_at(copies: int) -> None:
    """Walk back from the middle lane through the network of `majority` and count what is needed."""
    exchanges = [(i, i + 1) for last in range(copies - 1, copies // 2 - 1, -1) for i in range(last)]
    needed, operations = {copies // 2}, 0
    for pair in reversed(exchanges):
        used = needed & set(pair)
        operations += len(used)
        if used:
            needed |= set(pair)
    assert vote_operations(copies) == operations

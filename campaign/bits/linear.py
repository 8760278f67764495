"""Systematic linear block codes: check words from byte tables, errors from syndromes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from campaign.bits.locator import FAILED, NO_ERROR, Locator
from campaign.bits.words import carrier
from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LinearCode:
    """A binary code whose codeword is the data bits followed by the check bits.

    Args:
        columns: Check word of each single data bit (the data part of the parity-check matrix); a
            multiple of 8 of them.
        check_bits: Bits of a check word.
        corrects: How many wrong bits of a codeword are always corrected.
        search: Finds wrong bits; None for a table with a row for each syndrome.

    Example:
        >>> code = LinearCode((3, 5, 6, 7, 9, 10, 11, 12), check_bits=4)
        >>> code.checks(torch.tensor([[0b101]], dtype=torch.uint8))
        tensor([5], dtype=torch.uint8)
        >>> code.errors(torch.tensor([10, 8, 15]))  # data bit 5; check bit 3; no single bit
        tensor([[ 5],
                [11],
                [-2]])
    """

    columns: tuple[int, ...]
    check_bits: int
    corrects: int = 1
    search: Locator | None = None

    @property
    def data_bits(self) -> int:
        """Data bits of a codeword."""
        return len(self.columns)

    def checks(self, blocks: Tensor) -> Tensor:
        """The check word of each block.

        Args:
            blocks: uint8, shape (n, data_bits / 8); data bit i is bit i % 8 of byte i // 8.

        Returns:
            Shape (n,), of dtype ``carrier(check_bits)``.
        """
        tables = _byte_tables(self, blocks.device)
        found = torch.zeros(len(blocks), dtype=tables.dtype, device=blocks.device)
        for place, table in enumerate(tables):
            found ^= table.index_select(0, blocks[:, place].to(torch.int32))
        return found

    def errors(self, syndromes: Tensor) -> Tensor:
        """Which bits of a codeword are wrong, for each XOR of a stored and a computed check word.

        Returns:
            int64, shape (n, corrects): positions in the codeword (check bits follow the data
            bits), filled up with ``NO_ERROR``; ``FAILED`` where no pattern of `corrects` wrong
            bits or fewer has this syndrome.
        """
        # A word that fills its integer may look negative.
        patterns = syndromes.long()
        if self.check_bits < 64:
            patterns = patterns & ((1 << self.check_bits) - 1)
        if self.search is not None:
            return self.search.errors(patterns)
        return _error_table(self, syndromes.device)[patterns].long()


@lru_cache(maxsize=16)
def _byte_tables(code: LinearCode, device: torch.device) -> Tensor:
    """Check word of every value of every byte: shape (data_bits / 8, 256)."""
    tables = torch.zeros(code.data_bits // 8, 1, dtype=torch.int64)
    top = 1 << 63  # of a check word of 64 bits; torch's integers are signed
    columns = torch.tensor([(c ^ top) - top if c >= top else c for c in code.columns]).view(-1, 8)
    for bit in range(8):
        tables = torch.cat([tables, tables ^ columns[:, bit : bit + 1]], dim=1)
    return tables.to(carrier(code.check_bits)).to(device)


@lru_cache(maxsize=16)
def _error_table(code: LinearCode, device: torch.device) -> Tensor:
    """Wrong bits of every syndrome: int16, shape (2^check_bits, corrects)."""
    columns = torch.tensor([*code.columns, *(1 << bit for bit in range(code.check_bits))])
    table = torch.full((1 << code.check_bits, code.corrects), NO_ERROR, dtype=torch.int16)
    table[1:, 0] = FAILED
    for count in range(1, code.corrects + 1):
        bits = torch.combinations(torch.arange(len(columns)), count)
        syndromes = columns[bits[:, 0]]
        for place in range(1, count):
            syndromes = syndromes ^ columns[bits[:, place]]
        table[syndromes, :count] = bits.to(torch.int16)
    return table.to(device)

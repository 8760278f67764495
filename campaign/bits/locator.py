"""Wrong bits of BCH codewords, found by algebra where a table of all syndromes is too large."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from campaign.bits.field import tables
from campaign.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

NO_ERROR = -1
FAILED = -2
PIECE = 1 << 18
"""Values of a temporary tensor: int32, so that what lies between stays in cache."""


@dataclass(frozen=True)
class Locator:
    """Bounded-distance decoding: power sums, Berlekamp-Massey, Chien search; many words at once.

    Source: Berlekamp 1968; Massey, IEEE Trans. Inf. Theory 15(1), 1969; Chien, ibid. 10(4), 1964.

    Args:
        degree: m of the field GF(2^m).
        corrects: How many wrong bits of a codeword are corrected.
        data_bits: Data bits of a codeword: the coefficients from x^check_bits on.
        check_bits: Check bits of a codeword: the coefficients below.
    """

    degree: int
    corrects: int
    data_bits: int
    check_bits: int

    def errors(self, syndromes: Tensor) -> Tensor:
        """See `campaign.bits.linear.LinearCode.errors`; int64 (n,) to int64 (n, corrects)."""
        field = _field(self, syndromes.device)
        located, length = self._located(field.power_sums(syndromes), field)
        found = syndromes.new_full((len(syndromes), self.corrects), NO_ERROR)
        found[:, 0] = FAILED
        found[(length == 0).nonzero()[:, 0], 0] = NO_ERROR
        step = max(1, PIECE // (self.data_bits + self.check_bits))
        for count in range(1, self.corrects + 1):
            for rows in torch.split((length == count).nonzero()[:, 0], step):
                places, ok = field.roots(located[rows, : count + 1])
                found[rows[ok], :count] = places
        return found

    def _located(self, sums: Tensor, field: _Field) -> tuple[Tensor, Tensor]:
        """Berlekamp-Massey for binary codes, where each second discrepancy is 0.

        Args:
            sums: int64, shape (n, 2 * corrects): S_1, S_2, ...
            field: Where to compute.

        Returns:
            Coefficients of the error locators, int64 (n, corrects + 1), the constant first, and how
            many errors each has, int64 (n,); more than `corrects` where there is none.
        """
        now = sums.new_zeros(len(sums), self.corrects + 1)
        now[:, 0] = 1
        before = _shifted(now, 1)
        length = sums.new_zeros(len(sums))
        for step in range(self.corrects):
            gap = sums[:, 2 * step].clone()
            for back in range(1, min(2 * step, self.corrects) + 1):
                gap ^= field.product(now[:, back], sums[:, 2 * step - back])
            grows = (gap != 0) & (length <= step)
            then = now ^ field.product(gap[:, None], before)
            before = torch.where(
                grows[:, None], field.product(field.inverse(gap)[:, None], now), before
            )
            before = _shifted(before, 2)
            length = torch.where(grows, 2 * step + 1 - length, length)
            now = then
        return now, length


class _Field(NamedTuple):
    """The arithmetic of a field on int64 tensors, and the tables of a code over it."""

    powers: Tensor
    """x^i for i up to twice the largest logarithm, then zeros for a logarithm of 0 among two."""
    logs: Tensor
    """Logarithms; that of 0 is so large that no sum with it is that of a power."""
    order: int
    """Of x: 2^m - 1."""
    sums: Tensor
    """S_1, S_2, ... of each value of each byte of a syndrome: (bytes, 256, 2 * corrects)."""
    places: Tensor
    """Powers of 1 / x, int32, at the bits of a codeword, data bits first."""

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """The product of elements, broadcast."""
        return self.powers[self.logs[a] + self.logs[b]]

    def inverse(self, a: Tensor) -> Tensor:
        """1 / a; 1 where a is 0."""
        logs = self.logs[a]
        return self.powers[torch.where(a == 0, 0, self.order - logs)]

    def power_sums(self, syndromes: Tensor) -> Tensor:
        """S_j, the value of the error polynomial at x^j: int64 (n, 2 * corrects)."""
        found = self.sums[0][syndromes & 255]
        for place in range(1, len(self.sums)):
            found ^= self.sums[place][syndromes >> 8 * place & 255]
        return found

    def roots(self, located: Tensor) -> tuple[Tensor, Tensor]:
        """The bits of a codeword that are wrong, by locators that all have the same degree.

        Args:
            located: int64, shape (n, count + 1), the constant first.

        Returns:
            Places, int64 (k, count), ascending, and which locators have as many: bool (n,).
        """
        count = located.shape[1] - 1
        powers = self.powers.to(torch.int32)
        value = powers.new_ones(len(located), len(self.places))
        for exponent in range(1, count + 1):
            logs = self.logs[located[:, exponent]].to(torch.int32)
            turned = self.places * exponent % self.order
            value ^= powers.index_select(0, (logs[:, None] + turned).view(-1)).view(value.shape)
        zero = value == 0
        ok = zero.sum(1) == count
        return zero[ok].nonzero()[:, 1].view(-1, count), ok


def _shifted(polynomials: Tensor, by: int) -> Tensor:
    """Times x^by; what grows beyond the last coefficient belongs to no locator."""
    found = torch.zeros_like(polynomials)
    found[:, by:] = polynomials[:, :-by]
    return found


@lru_cache(maxsize=16)
def _field(code: Locator, device: torch.device) -> _Field:
    held = tables(code.degree)
    order = len(held.powers)
    powers = torch.tensor([*held.powers, *held.powers, *[0] * (2 * order + 1)])
    logs = torch.tensor([2 * order, *held.logs[1:]])
    sums = torch.zeros(-(-code.check_bits // 8), 256, 2 * code.corrects, dtype=torch.int64)
    exponents = torch.arange(1, 2 * code.corrects + 1)
    value = torch.arange(256)
    for bit in range(code.check_bits):
        has = value >> bit % 8 & 1
        sums[bit // 8] ^= has[:, None] * powers[exponents * bit % order]
    bits = torch.arange(code.data_bits + code.check_bits)
    power = torch.cat([bits[code.check_bits :], bits[: code.check_bits]])
    places = (order - power).to(torch.int32) % order
    powers, logs = powers.to(device), logs.to(device)
    return _Field(powers, logs, order, sums.to(device), places.to(device))

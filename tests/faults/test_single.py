"""One flip a seed, every exposed bit as likely."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from campaign.faults import FAULTS
from tests.faults.conftest import SIX_SIGMA, Memory, memory

MODEL = FAULTS.make("single_flip")


def flipped(held: Memory, seed: int, ber: float = 1e-6) -> list[tuple[str, int]]:
    """The tensor and the position of each flip."""
    found = MODEL.sample_all(held, ber, seed)
    return [(key.tensor, position) for key, places in found.items() for position in places.tolist()]


def test_one_bit_flips_for_every_seed_and_rate() -> None:
    held = memory((50, 16), (2, 7))
    for seed in range(300):
        assert len(flipped(held, seed)) == 1
        assert flipped(held, seed, 1e-9) == flipped(held, seed, 1.0)


def test_every_bit_of_every_tensor_is_hit_equally_often() -> None:
    held = memory((4, 8), (1, 16), (3, 1))
    hits = [{"w0": 0, "w1": 32, "w2": 48}[t] + p for s in range(2000) for t, p in flipped(held, s)]
    assert stats.chisquare(np.bincount(hits, minlength=51)).pvalue > SIX_SIGMA


def test_a_stratum_is_hit_alone_and_evenly() -> None:
    """Exponent bits of float16, which `only_bits` exposes by exempting all others."""
    exempt = frozenset(range(16)) - set(range(10, 15))
    hits = [p for s in range(1000) for _, p in flipped(memory((4, 16), exempt=exempt), s)]
    places, counts = np.unique(hits, return_counts=True)
    assert places.tolist() == [word * 16 + bit for word in range(4) for bit in range(10, 15)]
    assert stats.chisquare(counts).pvalue > SIX_SIGMA


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_first_of_exactly_k_flips(seed: int) -> None:
    held = memory((50, 16), (20, 7))
    one = FAULTS.make("exact_flips", {"count": 1}).sample_all(held, 0.5, seed)
    assert flipped(held, seed) == [(key.tensor, p) for key, ps in one.items() for p in ps.tolist()]

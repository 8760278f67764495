"""Thresholds of cells: uniform, independent, nested; against a loop over single hits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from campaign.bits import Words
from campaign.faults import FAULTS, Exposed, FieldKey, Stream
from campaign.faults import places as by_products
from campaign.faults.places import FEW, failing_places
from campaign.faults.thresholds import FIRST_BLOCK, MOST_BLOCK, failing_cells

RATES = [1e-300, 2**-20, 1e-3, 0.1, 0.5, 0.875, 0.8751, 0.95, 1 - 2**-20, 1.0]
SIX_SIGMA = 2e-9


def stream(seed: int) -> Stream:
    """Random numbers of some tensor."""
    return Stream(seed, "w", "payload", 8)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("count", [1, 2, 1000, 100_000])
def test_cells_are_ascending_distinct_inside_and_low_enough(rate: float, count: int) -> None:
    cells = failing_cells(count, rate, stream(1))
    assert cells.positions.dtype == np.int64
    assert bool((np.diff(cells.positions) > 0).all())
    assert cells.positions.size == 0 or 0 <= cells.positions[0] <= cells.positions[-1] < count
    assert bool((cells.thresholds <= rate * (1 + 1e-12)).all())
    assert bool((cells.thresholds >= 0).all())
    np.testing.assert_array_equal(failing_places(count, rate, stream(1)), cells.positions)


def test_every_cell_fails_at_rate_1_and_none_at_rate_0() -> None:
    assert failing_places(500, 1.0, stream(1)).tolist() == list(range(500))
    assert failing_places(500, 0.0, stream(1)).size == 0
    assert failing_cells(0, 0.5, stream(1)).positions.size == 0


def first_hits(count: int, rate: float, source: Stream) -> dict[int, float]:
    """Threshold of each failing cell, one hit after the other, from the same uniforms."""
    found: dict[int, float] = {}
    time, size = 0.0, FIRST_BLOCK
    while True:
        gaps, where = source.uniform(size).tolist(), source.uniform(size).tolist()
        for gap, place in zip(gaps, where, strict=True):
            time += -math.log1p(-gap)
            if -math.expm1(-time / count) > rate:
                return found
            found.setdefault(math.floor(place * count), -math.expm1(-time / count))
        size *= 2


@pytest.mark.parametrize(("count", "rate"), [(1, 0.5), (7, 0.8), (300, 0.3), (100_000, 1e-3)])
def test_cells_are_those_of_a_loop_over_single_hits(count: int, rate: float) -> None:
    for seed in range(20):
        expected = first_hits(count, rate, stream(seed))
        cells = failing_cells(count, rate, stream(seed))
        assert cells.positions.tolist() == sorted(expected)
        told = [expected[place] for place in sorted(expected)]
        np.testing.assert_allclose(cells.thresholds, told, rtol=1e-9)


@pytest.mark.parametrize("rate", [0.3, 0.875, 1.0])
def test_thresholds_are_uniform_up_to_the_rate(rate: float) -> None:
    cells = failing_cells(200_000, rate, stream(2))
    assert stats.kstest(cells.thresholds / rate, "uniform").pvalue > SIX_SIGMA
    assert abs(cells.positions.size - 200_000 * rate) <= 6 * (200_000 * rate * (1 - rate)) ** 0.5


def test_a_cell_keeps_its_threshold_at_every_rate() -> None:
    every = dict(zip(*map(np.ndarray.tolist, failing_cells(5000, 1.0, stream(4))), strict=True))
    assert len(every) == 5000
    for rate in RATES:
        cells = failing_cells(5000, rate, stream(4))
        wanted = sorted(place for place, threshold in every.items() if threshold <= rate)
        assert cells.positions.tolist() == wanted
        assert cells.thresholds.tolist() == [every[place] for place in wanted]


def test_neighbours_fail_independently() -> None:
    """Of 2^18 pairs of neighbours, those that both fail are binomial."""
    failed = np.zeros(1 << 19, dtype=np.bool_)
    failed[failing_places(failed.size, 0.2, stream(5))] = True
    pairs = failed.reshape(-1, 2).all(1)
    assert abs(pairs.sum() - 0.04 * pairs.size) < 6 * (0.04 * 0.96 * pairs.size) ** 0.5


def test_every_cell_is_as_likely() -> None:
    hits = np.concatenate([failing_places(64, 0.05, stream(seed)) for seed in range(5000)])
    assert stats.chisquare(np.bincount(hits, minlength=64)).pvalue > SIX_SIGMA


def by_whole_blocks(count: int, rate: float, source: Stream) -> tuple[np.ndarray, np.ndarray]:
    """Cells and thresholds by arithmetic on whole blocks."""
    end, last, size, places, times = -math.log1p(-rate) * count, 0.0, FIRST_BLOCK, [], []
    while last <= end:
        gaps, where = source.uniform(size), source.uniform(size)
        times.append(np.cumsum(-np.log1p(-gaps)) + last)
        places.append((where * count).astype(np.int64))
        last, size = times[-1][-1], min(2 * size, MOST_BLOCK)
    kept = np.concatenate(times) <= end
    cells, first = np.unique(np.concatenate(places)[kept], return_index=True)
    return cells, -np.expm1(-np.concatenate(times)[kept][first] / count)


@pytest.mark.parametrize(
    ("count", "rate"), [(5, 0.6), (3000, 0.3), (10_000_019, 1e-4), (40_000_000, 0.03), (10**6, 0.7)]
)
def test_arithmetic_by_pieces_keeps_every_bit_and_the_place_in_the_stream(
    count: int, rate: float
) -> None:
    positions, thresholds = by_whole_blocks(count, rate, whole := stream(8))
    cells = failing_cells(count, rate, pieces := stream(8))
    np.testing.assert_array_equal(cells.positions, positions)
    assert cells.thresholds.tobytes() == thresholds.tobytes()
    np.testing.assert_array_equal(failing_places(count, rate, stream(8)), positions)
    assert pieces.uniform(5).tolist() == whole.uniform(5).tolist()


@pytest.mark.parametrize("rate", [0.0, 1e-9, 1e-4, 3e-3, 0.2, 0.9])
def test_fields_drawn_together_flip_as_each_by_itself(rate: float) -> None:
    """Small and large fields, some of no hit, one empty, one with exempt bits."""
    fault, sizes = FAULTS.make("bit_flip"), [3, 900, 40_000, 0, 77, 60_000, 15_000]
    memory = {
        FieldKey(f"w{place}", "payload"): Exposed(
            Words(torch.zeros(1, dtype=torch.uint8).expand(size), 8),
            frozenset({1, 7}) if place == 1 else frozenset(),
        )
        for place, size in enumerate(sizes)
    }
    for seed in range(5 if rate < 0.1 else 1):
        together = fault.sample_all(memory, rate, seed)
        assert list(together) == list(memory)
        for key, held in memory.items():
            alone = failing_cells(held.words.bits, rate, Stream(seed, *key, 8)).positions
            expected = alone[held.may_flip(alone)]
            assert together[key].dtype == np.int64
            np.testing.assert_array_equal(together[key], expected)


def test_hits_in_doubt_are_settled_by_the_sums_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the doubt as wide as it may be, many fields are; their cells stay as they are."""
    count, rate, asked = 2_000_000, 0.01, []
    plain = by_products._arrived

    def doubtful(size: int, last: float, end: float, doubt: float, source: Stream) -> object:
        asked.append(plain(size, last, end, 0.5, source) if doubt < 0.5 else None)
        return asked[-1]

    monkeypatch.setattr(by_products, "_WORST_DOUBT", 1.0)
    monkeypatch.setattr(by_products, "_arrived", doubtful)
    for seed in range(12):
        found = failing_places(count, rate, stream(seed))
        expected = failing_cells(count, rate, stream(seed)).positions
        np.testing.assert_array_equal(found, expected)
    assert count * rate > FEW
    assert 2 <= asked.count(None) <= 11


def test_hits_at_every_end_of_a_piece_are_counted() -> None:
    """Rates that end just before and just after each of the last hits of a piece and a block."""
    count = 3_000_000
    times = -np.log1p(-np.sort(failing_cells(count, 0.03, stream(3)).thresholds))
    for hit in [63, 64, 65, 191, 192, 16_384, 16_385, 32_700, 49_152]:
        for nudge in (-1e-9, 1e-9):
            rate = -math.expm1(-times[hit] * (1 + nudge))
            found = failing_places(count, rate, stream(3))
            np.testing.assert_array_equal(found, failing_cells(count, rate, stream(3)).positions)

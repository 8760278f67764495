"""Streams: the raw output of Philox under a key that depends on four things only."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from campaign.faults import Stream

MASK = (1 << 64) - 1


def philox(key: tuple[int, int], block: int) -> list[int]:
    """Philox4x64-10 of counter `block`, written from the paper in Python integers."""
    state, (low, high) = [block, 0, 0, 0], key
    for _ in range(10):
        left, right = state[0] * 0xD2E7470EE14C6C93, state[2] * 0xCA5A826395121157
        state = [
            (right >> 64) ^ state[1] ^ low,
            right & MASK,
            (left >> 64) ^ state[3] ^ high,
            left & MASK,
        ]
        low, high = (low + 0x9E3779B97F4A7C15) & MASK, (high + 0xBB67AE8584CAA73B) & MASK
    return state


def key_of(seed: int, tensor: str, field: str, width: int) -> tuple[int, int]:
    """The key as documented: blake2b of the four parts."""
    text = f"{seed}\0{tensor}\0{field}\0{width}".encode()
    digest = hashlib.blake2b(text, digest_size=16, person=b"campaign-stream").digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


@pytest.mark.parametrize("place", [(0, "w", "payload", 8), (2**63 - 1, "layer.é", "check1", 39)])
def test_numbers_are_philox_from_its_specification(place: tuple[int, str, str, int]) -> None:
    key = key_of(*place)
    raw = [number for block in range(1, 26) for number in philox(key, block)]
    expected = [(number >> 11) / 2**53 for number in raw]
    assert Stream(*place).uniform(100).tolist() == expected


def test_drawing_in_parts_gives_the_same_numbers() -> None:
    whole, parts = Stream(1, "w", "payload", 8), Stream(1, "w", "payload", 8)
    pieces = [parts.uniform(count) for count in (3, 0, 1, 96)]
    assert np.concatenate(pieces).tolist() == whole.uniform(100).tolist()


def test_numbers_are_uniform_on_0_to_1() -> None:
    numbers = Stream(5, "w", "payload", 32).uniform(200_000)
    assert stats.kstest(numbers, "uniform").pvalue > 2e-9
    assert 0 <= numbers.min() < numbers.max() < 1


def test_each_of_the_four_parts_changes_the_stream() -> None:
    places = [
        (0, "w", "payload", 8),
        (1, "w", "payload", 8),
        (0, "v", "payload", 8),
        (0, "w", "check0", 8),
        (0, "w", "payload", 16),
    ]
    streams = [Stream(*place).uniform(50) for place in places]
    for first, second in combinations(streams, 2):
        assert not np.intersect1d(first, second).size


def test_another_process_draws_the_same_numbers() -> None:
    program = (
        "from campaign.faults import Stream; print(Stream(3, 'a', 'b', 8).uniform(3).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(Stream(3, "a", "b", 8).uniform(3).tolist())


@pytest.mark.parametrize("before", [0, 1, 64, 1027])
@pytest.mark.parametrize("left_out", [0, 1, 5, 1023, 1024, 4097, 100_002])
def test_what_is_skipped_is_as_if_drawn(before: int, left_out: int) -> None:
    whole, parts = Stream(1, "w", "payload", 8), Stream(1, "w", "payload", 8)
    parts.uniform(before)
    parts.skip(left_out)
    expected = whole.uniform(before + left_out + 2000)[before + left_out :]
    assert parts.uniform(1500).tolist() == expected[:1500].tolist()
    parts.skip(7)
    assert parts.uniform(3).tolist() == expected[1507:1510].tolist()

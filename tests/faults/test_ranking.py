"""The highest scores, in an order of their own."""

from __future__ import annotations

import pytest
import torch

from campaign.faults.ranking import highest


@pytest.mark.parametrize("count", [1, 2, 5, 40, 99, 200])
def test_it_is_the_start_of_a_stable_sort(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    scores = torch.randint(0, 6, (100,), generator=generator).double()
    scores[::7] = -torch.inf
    scores[::11] = torch.inf
    ordered = sorted(range(100), key=lambda i: (-float(scores[i]), i))
    expected = [i for i in ordered if float(scores[i]) > -float("inf")][:count]
    assert highest(scores, count).tolist() == expected


def test_of_nothing_there_is_no_highest() -> None:
    assert highest(torch.empty(0), 3).tolist() == []

"""What holds for every fault model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from campaign.bits import Words, carrier, flip
from campaign.faults import Exposed, FaultModel, FieldKey, Stream

BERS = [0.0, 1e-9, 1e-4, 1e-2, 0.5, 1.0]
WIDTHS = [1, 7, 8, 12, 16, 32, 39, 64]


def drawn(
    fault: FaultModel, ber: float, *, width: int = 16, count: int = 300, seed: int = 4
) -> NDArray[np.int64]:
    """The positions for zeroed words of some parameter."""
    words = Words(torch.zeros(count, dtype=carrier(width)), width)
    return fault.sample(words, ber, Stream(seed, "layer.weight", "payload", width))


def memory(exempt: frozenset[int] = frozenset()) -> dict[FieldKey, Exposed]:
    """Two parameters, one of them with check words."""
    payload = Words(torch.arange(300, dtype=torch.int16), 16)
    return {
        FieldKey("a.weight", "payload"): Exposed(payload, exempt),
        FieldKey("a.weight", "check0"): Exposed(Words(torch.ones(300, dtype=torch.uint8), 5)),
        FieldKey("b.weight", "payload"): Exposed(payload, exempt),
    }


@pytest.mark.parametrize("ber", BERS)
@pytest.mark.parametrize("width", WIDTHS)
def test_positions_are_ascending_distinct_and_inside(
    fault: FaultModel, ber: float, width: int
) -> None:
    positions = drawn(fault, ber, width=width)
    assert positions.dtype == np.int64
    assert positions.ndim == 1
    assert bool((np.diff(positions) > 0).all())
    assert positions.size == 0 or (positions[0] >= 0 and positions[-1] < 300 * width)


@pytest.mark.parametrize("ber", BERS)
def test_positions_can_be_flipped(fault: FaultModel, ber: float) -> None:
    words = Words(torch.zeros(300, dtype=torch.int16), 16)
    flip(words, torch.from_numpy(drawn(fault, ber)))


def test_nothing_flips_at_ber_0(fault: FaultModel) -> None:
    assert drawn(fault, 0.0).size == 0


def test_no_words_have_no_positions(fault: FaultModel) -> None:
    assert drawn(fault, 0.5, count=0).size == 0


@pytest.mark.parametrize("ber", BERS)
def test_one_seed_gives_one_result(fault: FaultModel, ber: float) -> None:
    assert drawn(fault, ber).tolist() == drawn(fault, ber).tolist()


def test_the_global_generators_are_neither_read_nor_moved(fault: FaultModel) -> None:
    first = drawn(fault, 1e-2)
    before, after = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    assert drawn(fault, 1e-2).tolist() == first.tolist()
    assert torch.equal(torch.get_rng_state(), before)
    now = np.random.get_state()  # noqa: NPY002
    assert (now[1] == after[1]).all()
    assert now[2] == after[2]


@pytest.mark.parametrize("ber", BERS)
def test_positions_in_a_whole_memory_are_ascending_distinct_and_inside(
    fault: FaultModel, ber: float
) -> None:
    held = memory()
    for key, positions in fault.sample_all(held, ber, seed=4).items():
        assert positions.dtype == np.int64
        assert bool((np.diff(positions) > 0).all())
        flip(held[key].words, torch.from_numpy(positions))
        assert ber > 0 or positions.size == 0


@pytest.mark.parametrize("ber", [1e-2, 0.5, 1.0])
def test_exempt_bits_are_never_among_the_positions(fault: FaultModel, ber: float) -> None:
    exempt = frozenset({0, 3, 15})
    found = fault.sample_all(memory(exempt), ber, seed=4)
    for (_, field), positions in found.items():
        assert field != "payload" or not set((positions % 16).tolist()) & exempt


def test_one_seed_gives_one_result_for_a_whole_memory(fault: FaultModel) -> None:
    first, second = (fault.sample_all(memory(), 1e-2, seed=4) for _ in range(2))
    assert {k: p.tolist() for k, p in first.items()} == {k: p.tolist() for k, p in second.items()}

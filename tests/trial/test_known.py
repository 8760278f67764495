"""Work that need not be done is not done, and what is counted stays the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from campaign.spec.grid import Point
from campaign.trial.known import MOST_WEIGHTS
from campaign.trial.memory import choose, corrupt, read
from campaign.trial.run import run_trial
from campaign.trial.setup import Prepared, prepare


@contextmanager
def passes(module: nn.Module) -> Iterator[list[int]]:
    """Images of each forward pass of a network inside the block."""
    sizes = list[int]()
    hook = module.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    try:
        yield sizes
    finally:
        hook.remove()


def weights_of(prepared: Prepared, point: Point) -> bytes:
    """All weights of a trial, read whole."""
    stored, storage = prepared.stored.values(), prepared.storage
    chosen = choose(stored, prepared.setup.fault, storage, ber=point.ber, seed=point.seed)
    read_back = [read(held, corrupt(held, chosen).fields, storage) for held in stored]
    return b"".join(reading.weight.numpy().tobytes() for reading in read_back)


@pytest.mark.parametrize(
    ("dtype", "methods", "rates"),
    [("fp32", (), (1e-6, 2e-6, 3e-6, 1e-5)), ("q2_5", ("secded",), (3e-4, 4e-4, 5e-4, 1e-3))],
)
def test_equal_weights_are_evaluated_once_and_count_as_in_a_reference_trial(
    make_setup, network, digits, dtype, methods, rates
) -> None:
    points = [Point("x", ber, seed) for ber in rates for seed in range(8)]
    setup = make_setup(dtype, *methods)
    reference = prepare(setup, network, digits, reference=True)
    with passes(network.module) as every:
        expected = [run_trial(reference, point) for point in points]
    fast = prepare(setup, network, digits)
    with passes(network.module) as evaluated:
        found = [run_trial(fast, point) for point in points]
    assert found == expected
    distinct = {weights_of(fast, p) for p in points} - {weights_of(fast, Point("x", 0.0, 0))}
    batches = -(-len(digits) // digits.batch_size)
    assert len(every) == batches * len(points)
    assert len(evaluated) == batches * len(distinct)
    assert 0 < len(distinct) < len(points) - 8


def test_many_changed_weights_are_evaluated_each_time(make_setup, network, digits) -> None:
    prepared, point = prepare(make_setup(), network, digits), Point("x", 0.3, 1)
    clean, found = weights_of(prepared, Point("x", 0.0, 0)), weights_of(prepared, point)
    assert np.sum(np.frombuffer(clean, "<i4") != np.frombuffer(found, "<i4")) > MOST_WEIGHTS
    with passes(network.module) as evaluated:
        assert run_trial(prepared, point) == run_trial(prepared, point)
    assert sum(evaluated) == 2 * len(digits)


def test_no_activations_are_kept_for_trials_that_do_not_start_from_them(
    make_setup, network, digits
) -> None:
    setup = make_setup()
    assert prepare(setup, network, digits).prefix.held_bytes > 0
    assert prepare(setup, network, digits, reference=True).prefix.held_bytes == 0
    assert prepare(replace(setup, sampled=True), network, digits).prefix.held_bytes == 0

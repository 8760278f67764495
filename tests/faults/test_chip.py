"""A recorded chip against a walk over every bit of the memory."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from campaign.faults import FAULTS, Exposed, FieldKey, Stream
from campaign.faults.chip import RecordedChip
from tests.faults.conftest import Memory, noise, values

Columns = dict[str, list[float]]
FAILING = [3, 4, 17, 40, 41, 96, 99]
RATES = [0.01, 0.05, 0.05, 0.1, 0.3, 0.02, 1.0]
CHIP: Columns = {"cell": FAILING[::-1], "rate": RATES[::-1]}  # in no order
STUCK: Columns = {**CHIP, "value": [0, 1, 0, 1, 1, 0, 1]}


def chip(columns: Columns, size: int = 100) -> RecordedChip:
    """The chip of some columns."""
    return RecordedChip.of({name: np.array(held) for name, held in columns.items()}, size)


def memory(exempt: frozenset[int] = frozenset()) -> Memory:
    """Parameters larger and smaller than the chip, the first with check words."""
    return {
        FieldKey("a", "payload"): Exposed(noise(40, 8), exempt),
        FieldKey("a", "check0"): Exposed(noise(40, 1)),
        FieldKey("b", "payload"): Exposed(noise(5, 8), exempt),
    }


def walked(held: Memory, columns: Columns, ber: float, offset: int) -> dict[FieldKey, list[int]]:
    """The flips, by a walk over payloads and then check words, one cell a bit."""
    recorded = {int(cell): place for place, cell in enumerate(columns["cell"])}
    found, address = {}, offset
    for key in sorted(held, key=lambda key: key.field != "payload"):
        flips, stored = [], values(held[key].words)
        for position in range(held[key].words.bits):
            place = recorded.get(address % 100)
            address += 1
            if place is None or columns["rate"][place] > ber:
                continue
            if position % held[key].words.width in held[key].exempt:
                continue
            if "value" not in columns or columns["value"][place] != stored[position]:
                flips.append(position)
        found[key] = flips
    return found


@pytest.mark.parametrize("columns", [CHIP, STUCK], ids=["flips", "stuck"])
@pytest.mark.parametrize("exempt", [frozenset(), frozenset({0, 7})])
@pytest.mark.parametrize("ber", [1e-6, 0.01, 0.05, 0.2, 1.0])
def test_cells_of_the_linearly_mapped_memory_fail_as_recorded(
    columns: Columns, exempt: frozenset[int], ber: float
) -> None:
    held = memory(exempt)
    for seed in range(20):
        found = chip(columns).sample_all(held, ber, seed)
        drawn = int(Stream(seed, "", "chip_map", 1).uniform(1)[0] * 100)
        expected = walked(held, columns, ber, drawn)
        assert {key: positions.tolist() for key, positions in found.items()} == expected


def test_the_memory_starts_at_any_cell_and_every_bit_is_reached() -> None:
    held = memory()
    reached: set[tuple[FieldKey, int]] = set()
    for seed in range(600):
        found = chip(CHIP).sample_all(held, 1.0, seed)
        reached |= {(key, p) for key, positions in found.items() for p in positions.tolist()}
    assert len(reached) == sum(exposed.words.bits for exposed in held.values())


def test_payload_faults_do_not_depend_on_check_words() -> None:
    with_checks, without = memory(), memory()
    del without[FieldKey("a", "check0")]
    for seed in range(10):
        first, second = (chip(CHIP).sample_all(held, 0.3, seed) for held in (with_checks, without))
        assert all(first[key].tolist() == second[key].tolist() for key in without)


def test_a_voltage_stands_for_the_share_of_cells_that_fail_at_it() -> None:
    recorded = chip({"cell": [0, 1, 2, 3, 4], "voltage": [0.7, 0.8, 0.7, 0.9, 0.7]}, size=50)
    assert recorded.rates.tolist() == [5 / 50, 2 / 50, 5 / 50, 1 / 50, 5 / 50]


def test_cells_that_fail_at_a_lower_rate_fail_at_a_higher() -> None:
    held: set[int] = set()
    for ber in (0.005, 0.01, 0.04, 0.3, 1.0):
        found = chip(CHIP).sample_all(memory(), ber, 2)[FieldKey("a", "payload")].tolist()
        assert held <= set(found)
        held = set(found)


def test_a_chip_without_failing_cells_flips_nothing() -> None:
    found = chip({"cell": [], "rate": []}).sample_all(memory(), 1.0, 0)
    assert all(positions.size == 0 for positions in found.values())


def test_a_chip_travels_to_workers() -> None:
    again = pickle.loads(pickle.dumps(chip(STUCK)))
    first, second = (c.sample_all(memory(), 0.3, 1) for c in (again, chip(STUCK)))
    assert {k: p.tolist() for k, p in first.items()} == {k: p.tolist() for k, p in second.items()}


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"cell": [1]}, "got columns cell; allowed: cell, rate or voltage, and value"),
        ({"rate": [1]}, "got columns rate"),
        ({**CHIP, "voltage": RATES}, "got columns cell, rate, voltage"),
        ({"cell": [1, 2], "rate": [0.1]}, "not lists of one length"),
        ({"cell": [100], "rate": [0.1]}, r"cell 100 is no address; allowed: whole numbers 0\.\.99"),
        ({"cell": [-1], "rate": [0.1]}, "cell -1 is no address"),
        ({"cell": [1.5], "rate": [0.1]}, "cell 1.5 is no address"),
        ({"cell": [float("nan")], "rate": [0.1]}, "cell nan is no address"),
        ({"cell": [1, 1], "rate": [0.1, 0.2]}, "a cell stands twice"),
        ({"cell": [1], "rate": [0]}, "column rate: allowed: above 0 and at most 1"),
        ({"cell": [1], "rate": [float("nan")]}, "column rate"),
        ({"cell": [1], "voltage": [float("inf")]}, "column voltage: allowed: finite"),
        ({"cell": [1], "rate": [0.1], "value": [2]}, "column value: allowed: 0 and 1"),
    ],
)
def test_what_no_chip_can_be_is_refused(columns: Columns, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        chip(columns)


def test_a_chip_is_called_by_its_file_without_the_folder_and_needs_it() -> None:
    model = FAULTS.make("chip_map", {"file": "/data/chips/a.csv", "cells": 100})
    assert model.label == "chip_map(file=a.csv, cells=100)"
    assert model.reads == "/data/chips/a.csv"
    with pytest.raises(ValueError, match=r"/data/chips/a\.csv has not been read"):
        model.sample_all(memory(), 0.1, 0)
    columns = {name: np.array(held) for name, held in CHIP.items()}
    assert model.loaded(columns).sample_all(memory(), 1.0, 0)
    with pytest.raises(ValueError, match="bit_flip reads no file"):
        FAULTS.make("bit_flip").loaded(columns)

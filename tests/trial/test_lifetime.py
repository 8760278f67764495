"""A transient fault map holds for some images; then the next one is drawn."""

from __future__ import annotations

import dataclasses

import pytest

from campaign.spec.grid import Point
from campaign.trial.evaluate import TestSet, judge
from campaign.trial.run import fault_maps, run_trial
from campaign.trial.setup import prepare


def part_of(data: TestSet, images: range) -> TestSet:
    chosen = slice(images.start, images.stop)
    return dataclasses.replace(data, pixels=data.pixels[chosen], labels=data.labels[chosen])


@pytest.mark.parametrize("lifetime", [1, 7, 200, 599, 600, 10_000])
def test_maps_cover_every_image_once_with_seeds_of_their_own(lifetime: int) -> None:
    maps = list(fault_maps(3, 600, lifetime))
    assert [i for _, images in maps for i in images] == list(range(600))
    assert len({seed for seed, _ in maps}) == len(maps) == -(-600 // lifetime)
    assert maps[0][0] == 3


def test_a_transient_trial_is_a_persistent_one_for_each_map(make_setup, network, digits) -> None:
    setup = dataclasses.replace(make_setup("fp32"), lifetime=250)
    outcome = run_trial(prepare(setup, network, digits), Point("x", 1e-4, 9))
    correct = flips = masked = 0
    for seed, images in fault_maps(9, len(digits), 250):
        alone = prepare(make_setup("fp32"), network, part_of(digits, images))
        told = run_trial(alone, Point("x", 1e-4, seed))
        correct, flips = correct + told.counts.n_correct, flips + told.flipped_bits
        masked += told.counts.n_masked
    assert (outcome.counts.n_correct, outcome.flipped_bits) == (correct, flips)
    assert outcome.counts.n_masked == masked


def test_every_map_exposes_every_bit(make_setup, network, digits) -> None:
    """Or a ratio of flips to exposed bits would not be the rate."""
    persistent = prepare(make_setup("fp32"), network, digits).exposed_bits
    for lifetime, maps in ((600, 1), (599, 2), (100, 6)):
        setup = dataclasses.replace(make_setup("fp32"), lifetime=lifetime)
        prepared = prepare(setup, network, digits)
        assert prepared.exposed_bits == maps * persistent
        flips = run_trial(prepared, Point("x", 1e-3, 4)).flipped_bits
        expected = 1e-3 * prepared.exposed_bits
        assert abs(flips - expected) < 6 * expected**0.5


def test_a_map_as_long_as_the_test_set_is_a_persistent_one(make_setup, network, digits) -> None:
    point = Point("x", 1e-4, 2)
    persistent = run_trial(prepare(make_setup("fp32"), network, digits), point)
    setup = dataclasses.replace(make_setup("fp32"), lifetime=len(digits))
    assert run_trial(prepare(setup, network, digits), point) == persistent


def test_images_without_a_flip_keep_their_answers(make_setup, network, digits) -> None:
    setup = dataclasses.replace(make_setup("fp32"), lifetime=3)
    prepared = prepare(setup, network, digits)
    outcome = run_trial(prepared, Point("x", 1e-6, 1))
    assert outcome.flipped_bits > 0
    assert outcome.counts.n_masked > 0.5 * len(digits)
    assert judge(prepared.fault_free, digits.labels, prepared.fault_free) == prepared.counts

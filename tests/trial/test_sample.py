"""Trials on a sample of the images are the same trials, counted on fewer images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from campaign.faults.images import map_images
from campaign.spec.grid import Point, Targets
from campaign.trial.evaluate import by_margin
from campaign.trial.memory import choose
from campaign.trial.run import run_trial
from campaign.trial.sample import run_sampled
from campaign.trial.setup import prepare
from campaign.trial.subject import StoredSubject
from campaign.trial.worst import exposed_worst, flipped_worst, worst_positions


def test_counts_are_those_of_the_images_that_the_seed_draws(make_setup, network, digits) -> None:
    prepared = prepare(replace(make_setup("fp32"), sampled=True), network, digits)
    subject = StoredSubject(prepared.forward, prepared.stored, prepared.storage, digits)
    labels = digits.labels.numpy()
    free = prepared.fault_free.argmax(1).numpy() == labels
    for seed in range(6):
        point = Point("x", 3e-5, seed, 24)
        chosen = choose(
            prepared.stored.values(), prepared.setup.fault, prepared.storage, ber=3e-5, seed=seed
        )
        logits = subject.logits(chosen)
        right = (logits.argmax(1) == digits.labels).numpy() & logits.isfinite().all(1).numpy()
        images = map_images(seed, prepared.by_margin, 24)
        found = run_sampled(prepared, point)
        assert found.counts.n_samples == 24
        assert found.counts.n_correct == int(right[images].sum())
        assert found.n_fault_free == int(free[images].sum())
        assert found.counts.n_improved == int((right & ~free)[images].sum())
        msb = [int(p) % 32 == 30 for places in chosen.values() for p in places]
        assert found.flipped_worst == sum(msb)
        assert found.exposed_worst == sum(s.clean.numel() for s in prepared.stored.values())


def test_all_images_give_the_counts_of_an_exact_trial(make_setup, network, digits) -> None:
    exact = prepare(make_setup("q2_5"), network, digits)
    sampled = prepare(replace(make_setup("q2_5"), sampled=True), network, digits)
    plain = run_trial(exact, Point("x", 1e-3, 4))
    found = run_sampled(sampled, Point("x", 1e-3, 4, len(digits)))
    assert found.counts.n_correct == plain.counts.n_correct
    assert found.flips_digest == plain.flips_digest
    assert (plain.n_fault_free, plain.flipped_worst, plain.exposed_worst) == (None, None, None)
    clean = run_sampled(sampled, Point("x", 0.0, 0))
    assert clean.n_fault_free == clean.counts.n_correct == found.n_fault_free
    assert (clean.counts.n_samples, clean.flipped_worst) == (len(digits), 0)


@pytest.mark.parametrize(
    ("dtype", "exempt", "positions"),
    [
        ("fp32", (), (30,)),
        ("fp16", (), (14,)),
        ("fp32", ("exponent_msb",), ()),
        ("q2_5", (), (7,)),
        ("int4", (), (3,)),
    ],
)
def test_the_worst_bits_are_the_top_of_the_exponent_or_of_the_word(
    make_setup, network, digits, dtype, exempt, positions
) -> None:
    setup = make_setup(dtype, "parity", targets=Targets(exempt_bits=exempt))
    prepared = prepare(setup, network, digits)
    memory, storage = prepared.stored.values(), prepared.storage
    assert worst_positions(storage) == positions
    words = sum(stored.clean.numel() for stored in memory)
    assert exposed_worst(memory, storage) == words * len(positions)
    chosen = choose(memory, setup.fault, storage, ber=0.01, seed=2)
    width = setup.dtype.width
    counted = sum(
        int(place) % width in positions
        for key, places in chosen.items()
        for place in places
        if key.field == "payload"
    )
    assert flipped_worst(chosen, storage) == counted


def test_images_are_ordered_by_the_margin_of_a_plain_loop() -> None:
    random = torch.Generator().manual_seed(2)
    logits = torch.randn(50, 4, generator=random).round(decimals=1)
    labels = torch.randint(4, (50,), generator=random)
    logits[7] = torch.nan
    margins = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        margin = row[label] - max(value for k, value in enumerate(row) if k != label)
        margins.append(-np.inf if np.isnan(margin) else float(np.float32(margin)))
    order = by_margin(logits, labels)
    assert order[0] == 7
    assert np.all(np.diff(np.array(margins)[order]) >= -1e-6)
    assert sorted(order.tolist()) == list(range(50))

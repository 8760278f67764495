"""Outcome counts against a loop over single images in plain Python."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from campaign.sources import Images, Preprocess
from campaign.sources.pixels import normalise
from campaign.trial.evaluate import (
    Counts,
    TestSet,
    chosen_images,
    judge,
)
from campaign.trial.forward import Forward


def best(row: list[float], k: int) -> list[int]:
    ranked = [-math.inf if math.isnan(v) else v for v in row]
    return sorted(range(len(row)), key=lambda i: -ranked[i])[:k]


def by_hand(logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor) -> Counts:
    """One image at a time."""
    found: Counter[str] = Counter()
    for row, label, ref in zip(logits.tolist(), labels.tolist(), reference.tolist(), strict=True):
        was = best(ref, 1)[0]
        if not all(map(math.isfinite, row)):
            found["nonfinite"] += 1
            continue
        now, top = best(row, 1)[0], best(row, 5)
        found["correct"] += now == label
        found["top5"] += label in top
        found["sdc5"] += was not in top
        found["improved"] += now == label and was != label
        found["masked" if row == ref else "benign" if now == was else "sdc"] += 1
    names = ("correct", "top5", "nonfinite", "masked", "benign", "sdc", "sdc5", "improved")
    return Counts(len(labels), *(found[name] for name in names))


def cases(n: int = 4000, classes: int = 10) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    reference = torch.randn(n, classes, generator=generator)
    noise = torch.randn(n, classes, generator=generator)
    size = torch.rand(n, 1, generator=generator)
    logits = reference + noise * size * (torch.rand(n, 1, generator=generator) < 0.7)
    labels = torch.randint(classes, (n,), generator=generator)
    bad = torch.rand(n, classes, generator=generator) < 0.01
    values = torch.tensor([math.nan, math.inf, -math.inf])
    logits[bad] = values[torch.randint(3, (int(bad.sum()),), generator=generator)]
    return logits, labels, reference


def test_counts_equal_those_of_a_loop_over_images() -> None:
    logits, labels, reference = cases()
    counts = judge(logits, labels, reference)
    assert counts == by_hand(logits, labels, reference)
    assert all(count > 0 for count in counts)
    outcomes = counts.n_masked + counts.n_benign + counts.n_sdc + counts.n_nonfinite
    assert outcomes == counts.n_samples


@pytest.mark.parametrize("classes", [3, 10, 40])
def test_ties_are_settled_as_topk_settles_them(classes: int) -> None:
    """Logits of few values: on a device, torch counts."""
    logits, labels, reference = (
        t.round() if t.is_floating_point() else t for t in cases(3000, classes)
    )
    found = judge(logits, labels, reference)
    finite, ranked = logits.isfinite().all(1), logits.nan_to_num(nan=-math.inf, posinf=math.inf)
    top = ranked.topk(min(5, classes), dim=1).indices
    was = reference.argmax(1)
    assert found.n_correct_top5 == int(((top == labels[:, None]).any(1) & finite).sum())
    assert found.n_sdc5 == int((~(top == was[:, None]).any(1) & finite).sum())
    assert found.n_correct == int(((ranked.argmax(1) == labels) & finite).sum())
    assert found.n_sdc == int(((ranked.argmax(1) != was) & finite).sum())


def test_an_all_nan_row_is_wrong_even_where_the_label_is_class_zero() -> None:
    logits = torch.full((3, 10), math.nan)
    counts = judge(logits, torch.zeros(3, dtype=torch.int64), torch.eye(3, 10))
    assert (counts.n_correct, counts.n_correct_top5, counts.n_nonfinite) == (0, 0, 3)


def test_fewer_than_five_classes_have_a_top5_of_all() -> None:
    logits = torch.eye(3)
    counts = judge(logits, torch.tensor([0, 1, 0]), logits)
    assert (counts.n_correct, counts.n_correct_top5, counts.n_masked) == (2, 3, 3)


def test_normalisation_is_per_channel_and_in_this_order() -> None:
    pixels = np.arange(2 * 3 * 2 * 2, dtype=np.uint8).reshape(2, 3, 2, 2)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    expected = np.stack(
        [
            (pixels[:, c].astype(np.float32) / np.float32(255) - np.float32(mean[c]))
            / np.float32(std[c])
            for c in range(3)
        ],
        1,
    )
    found = normalise(torch.from_numpy(pixels), Preprocess(mean=mean, std=std))
    np.testing.assert_array_equal(found.numpy(), expected)


def test_raw_pixels_stay_whole_numbers() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(normalise(pixels, Preprocess(divisor=1.0)), pixels.float())


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_answers_come_in_order_for_any_batch_size(batch_size: int) -> None:
    images = Images(
        np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8),
        np.arange(20, dtype=np.int64),
    )
    data = TestSet.load(
        images, Preprocess(), chosen=None, batch_size=batch_size, device=torch.device("cpu")
    )
    found = Forward(torch.nn.Flatten()).answers(data)
    torch.testing.assert_close(found, torch.from_numpy(images.pixels).view(20, -1) / 255)


def test_large_sets_are_normalised_batch_by_batch_to_the_same_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = Images(
        np.random.default_rng(0).integers(0, 256, (9, 3, 4, 4), dtype=np.uint8),
        np.arange(9, dtype=np.int64),
    )
    how = Preprocess(mean=(0.5,), std=(0.25,))

    def load() -> torch.Tensor:
        data = TestSet.load(images, how, chosen=None, batch_size=4, device=torch.device("cpu"))
        return Forward(torch.nn.Flatten()).answers(data)

    whole = load()
    monkeypatch.setattr("campaign.trial.evaluate.MOST_NORMALISED_BYTES", 0)
    assert torch.equal(whole, load())


def test_a_subset_is_fixed_spread_and_nested() -> None:
    small, large = chosen_images(50_000, 1300), chosen_images(50_000, 5000)
    assert set(small) < set(large)
    assert (np.diff(small) > 0).all()
    assert len(set(small // 50)) > 700  # of 1,000 classes in sorted order
    np.testing.assert_array_equal(small, chosen_images(50_000, 1300))

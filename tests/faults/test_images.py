"""Systematic samples of images: every image as often as any other, none twice."""

import numpy as np
import pytest

from campaign.faults.images import map_images


@pytest.mark.parametrize(("total", "count"), [(1, 1), (7, 7), (50, 7), (600, 32), (1797, 512)])
def test_no_image_is_taken_twice_and_each_stratum_gives_one(total: int, count: int) -> None:
    order = np.random.default_rng(total).permutation(total)
    for seed in range(50):
        chosen = map_images(seed, order, count)
        assert len(set(chosen.tolist())) == count
        assert np.all(np.diff(chosen) > 0)
        places = np.sort(np.argsort(order)[chosen])
        # Place j lies in the stratum [j n/m, (j+1) n/m), give or take the image on the border.
        assert np.all(np.abs(places - (np.arange(count) + 0.5) * total / count) <= total / count)


def test_every_image_is_as_likely_as_any_other_where_the_sizes_do_not_divide() -> None:
    draws, total, count = 20_000, 50, 7
    taken = np.zeros(total)
    for seed in range(draws):
        taken[map_images(seed, np.arange(total), count)] += 1
    share = count / total
    assert np.abs(taken / draws - share).max() < 6 * np.sqrt(share * (1 - share) / draws)


def test_the_fault_free_accuracy_of_a_sample_is_that_of_all_to_one_image() -> None:
    margin = np.random.default_rng(1).normal(1, 1, size=600)
    order = np.argsort(margin, kind="stable")
    for seed in range(200):
        right = int((margin[map_images(seed, order, 30)] > 0).sum())
        assert abs(right - 30 * float((margin > 0).mean())) < 1


def test_images_depend_on_the_seed_alone_and_frozen_ones_stay() -> None:
    order = np.arange(1000)
    assert map_images(3, order, 5).tolist() == map_images(3, order, 5).tolist()
    assert map_images(3, order, 5).tolist() != map_images(4, order, 5).tolist()
    assert map_images(7, np.arange(100), 4).tolist() == [11, 36, 61, 86]


@pytest.mark.parametrize("count", [0, 11])
def test_more_images_than_there_are_and_none_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"got {count} of 10 images; allowed: 1 to 10"):
        map_images(0, np.arange(10), count)

"""The profile split: never an image that trials are judged on."""

from __future__ import annotations

import pytest

from campaign.trial.evaluate import chosen_images, held_out_images


@pytest.mark.parametrize("subset", [None, 1, 400])
def test_held_out_images_are_never_judged_on(subset: int | None) -> None:
    judged, held = chosen_images(600, subset, 200), held_out_images(600, 200)
    assert not set(judged) & set(held)
    assert (len(judged), len(held)) == (subset or 400, 200)


@pytest.mark.parametrize(("count", "subset", "held"), [(10, None, 10), (10, 6, 5), (10, None, 12)])
def test_too_many_images_are_refused(count: int, subset: int | None, held: int) -> None:
    with pytest.raises(ValueError, match=r"the test set has 10 images; .* lower one of them"):
        chosen_images(count, subset, held)


def test_a_split_of_more_images_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match=r"profile.images asks for 20 of 10 images; lower it"):
        held_out_images(10, 20)

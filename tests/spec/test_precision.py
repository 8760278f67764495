"""What a spec may say of a wanted precision, and what is said where it has no meaning."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from campaign.spec.expand import expand
from campaign.spec.grid import held_point, points_of, sampled_point
from campaign.spec.load import Loaded

WANTED = "precision: {half_width: 0.02}"
JUDGED = "precision judges a fault map on a sample of the images"
DECIDES = "precision decides how many seeds there are; leave this out, or precision"
REFUSED = {
    "lifetime": (
        {"name: x": f"name: x\n{WANTED}\nlifetime: 8"},
        f"3:1: lifetime: {JUDGED}, a lifetime counts all of them; leave one of the two out",
    ),
    "activations": (
        {"name: x": f"name: x\n{WANTED}\ntargets: {{activations: true}}"},
        f"3:11: targets.activations: {JUDGED}, activations are struck in all; leave one out",
    ),
    "no clean": (
        {"name: x": f"name: x\n{WANTED}", "1e-6": "1e-6\n  clean: false"},
        "9:3: grid.clean: precision measures from the fault-free accuracy; leave it true",
    ),
    "seeds": (
        {"name: x": f"name: x\n{WANTED}", "1e-6": "1e-6\n  seeds: 7"},
        f"9:3: grid.seeds: {DECIDES} (precision.max_seeds bounds them)",
    ),
    "seeds of a part": (
        {"name: x": f"name: x\n{WANTED}", "1e-6": "1e-6\n  include: {ber: 1e-3, seeds: 3}"},
        f"9:24: grid.include.seeds: {DECIDES}",
    ),
    "seeds of a rule": (
        {"name: x": f"name: x\n{WANTED}", "1e-6": "1e-6\n  exclude: {seed: 3}"},
        f"9:13: grid.exclude.seed: {DECIDES}",
    ),
    "more at first than at most": (
        {"name: x": "name: x\nprecision: {min_seeds: 9, max_seeds: 8}"},
        "2:13: precision.min_seeds: got 9, more than max_seeds, which is 8",
    ),
}
BROKEN = {
    "half_width: 0.5": "half_width",
    "half_width: 0": "half_width",
    "half_width: .nan": "half_width",
    "half_width: true": "half_width",
    "confidence: 1": "confidence",
    "confidence: 0.4": "confidence",
    "max_seeds: 1": "max_seeds",
    "max_seeds: 2.5": "max_seeds",
    "min_seeds: 1": "min_seeds",
    "map_cost: -1": "map_cost",
    "seeds: 5": "seeds",
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_precision_without_a_meaning_is_told_in_one_line(
    problems: Callable[..., list[str]], case: str
) -> None:
    changes, line = REFUSED[case]
    assert problems(changes) == [line]


@pytest.mark.parametrize("text", BROKEN)
def test_a_number_out_of_range_is_told_in_one_line(
    problems: Callable[..., list[str]], text: str
) -> None:
    (line,) = problems({"name: x": f"name: x\nprecision: {{{text}}}"})
    assert line.startswith(f"2:13: precision.{BROKEN[text]}: ")


def test_a_cell_has_every_seed_that_there_may_be(read: Callable[..., Loaded]) -> None:
    loaded = read({"name: x": "name: x\nprecision: {max_seeds: 700}"})
    (grid,) = expand(loaded.spec)
    assert [(cell.ber, len(cell.seeds)) for cell in grid.cells] == [(0.0, 1), (1e-6, 700)]
    assert grid.setup.sampled


def test_the_number_of_images_is_part_of_what_a_trial_is(read: Callable[..., Loaded]) -> None:
    (grid,) = expand(read({"name: x": f"name: x\n{WANTED}"}).spec)
    few, more = (sampled_point(grid.setup, 1e-6, 3, images) for images in (8, 16))
    (whole,) = points_of(grid.setup, [1e-6], [3])
    assert len({few.trial_id, more.trial_id, whole.trial_id}) == 3
    for point in (few, more, whole):
        assert held_point(grid.setup, point.trial_id, 1e-6, 3) == point
    for wrong in ("other", f"{whole.trial_id}-n", f"{whole.trial_id}1", f"{few.trial_id}x"):
        with pytest.raises(ValueError, match="is called so"):
            held_point(grid.setup, wrong, 1e-6, 3)

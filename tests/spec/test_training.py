"""What a spec says of trainings: checked with a line for each fault, and written back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.errors import SpecError
from campaign.spec.campaign import CampaignSpec
from campaign.spec.expand import expand
from campaign.spec.identity import Digests, identify
from campaign.spec.load import load
from campaign.spec.write import resolved

GOOD = """\
name: small
models: digits_cnn
dataset: digits
grid:
  dtype: [fp32, q2_5]
  method:
    - none
    - trained_saf
    - [{trained_saf: {recipe: long, quantized: true}}, secded]
  ber: [1.0e-3]
  seeds: 2
training:
  dataset: {digits: {split: train}}
  recipes:
    long: {epochs: 9, schedule: {steps: {at: [0.5]}}}
  seeds: {start: 3, count: 2}
"""


@pytest.fixture
def lines(tmp_path: Path):  # noqa: ANN201
    """Problems of the good spec with a text replaced."""

    def found(old: str, new: str) -> list[str]:
        assert old in GOOD
        path = tmp_path / "spec.yaml"
        path.write_text(GOOD.replace(old, new), "utf-8")
        with pytest.raises(SpecError) as error:
            load(path)
        return [line.removeprefix(str(path)) for line in str(error.value).splitlines()]

    return found


def test_trained_stacks_get_a_setup_for_each_train_seed(tmp_path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(GOOD, "utf-8")
    spec = load(path).spec
    setups = [grid.setup for grid in expand(spec)]
    assert [setup.train_seed for setup in setups] == [None, 3, 4, 3, 4] * 2
    epochs = {s.method: s.training.recipe.epochs for s in setups if s.training is not None}
    assert epochs == {"trained_saf": 5, "trained_saf(quantized=True, recipe=long)+secded": 9}
    assert len({setup.key for setup in setups}) == 10
    written = resolved(spec)
    assert resolved(CampaignSpec.model_validate(written)) == written
    assert expand(CampaignSpec.model_validate(written))[3].setup == setups[3]


def test_every_fault_is_a_line(lines) -> None:
    whole = GOOD[GOOD.index("training:") :]
    assert lines(whole, "")[0].endswith(
        "grid.method[1]: trained_saf trains its network: say on which images, such as training: "
        "{dataset: {...: {split: train}}}"
    )
    (line,) = lines("recipe: long", "recipe: lnog")
    assert "grid.method[2][0].trained_saf.recipe: no recipe 'lnog'" in line
    assert "long" in line.partition("'lnog'")[2]
    assert line.endswith("known: long, finetune (training.recipes)")
    (line,) = lines("{digits: {split: train}}", "digits")
    assert ":13:3: training.dataset: got digits, the images that trials are judged on" in line
    (line,) = lines("epochs: 9", "epochs: 0")
    assert "training.recipes.long.epochs: " in line
    (line,) = lines("epochs: 9", "epochs: 9, validation_images: 1197")
    assert "training.recipes.long.validation_images: got 1197; allowed: below 1197, " in line
    (line,) = lines("epochs: 9", "epoch: 9")
    assert "unknown key 'epoch'" in line
    (line,) = lines("seeds: {start: 3, count: 2}", "recipe: other")
    assert "training.recipe: no recipe 'other'; known: long, finetune" in line
    (line,) = lines("seeds: {start: 3, count: 2}", "recipe: 7")
    assert "training.recipe: got 7; allowed: a mapping with keys of epochs, " in line
    (line,) = lines("secded]", "{weight_clipping: {trained: true, recipe: finetune}}]")
    assert (
        "one network is trained by one recipe, the stack names several (trained_saf: long" in line
    )
    found = lines("grid:", "fold_batchnorm: true\ngrid:")
    assert "fold_batchnorm: networks are trained with their BatchNorms as they are" in found[0]
    plain = GOOD[GOOD.index("    - trained_saf") : GOOD.index("  ber")]
    assert "training: no method of the grid trains its network" in lines(plain, "")[0]


def test_workers_share_batches_equally_and_have_gpus_of_their_own(lines, tmp_path) -> None:
    default, named = lines("count: 2}\n", "count: 2}\n  workers: 3\n")
    assert "training.recipe.batch_size: got 128; allowed: a multiple of" in default
    assert "training.recipes.long.batch_size: got 128; allowed: a multiple of" in named
    (line,) = lines("count: 2}\n", "count: 2}\n  workers: 2\n  gpus: 0.5\n")
    assert "training.gpus: got 0.5; allowed with 2 workers: auto or a whole number" in line
    (line,) = lines("count: 2}\n", "count: 2}\n  workers: 0\n")
    assert "training.workers: " in line
    path = tmp_path / "two.yaml"
    own = GOOD.replace("    - trained_saf\n", "").replace("epochs: 9", "epochs: 9, batch_size: 3")
    path.write_text(f"{own}  workers: 3\n", "utf-8")
    assert load(path).spec.training is not None
    path.write_text(f"{GOOD}  workers: 2\n  gpus: 1\n", "utf-8")
    grids = [grid.setup for grid in expand(load(path).spec)]
    digests = Digests({"digits_cnn": "weights"}, "images", training="train")
    two = [g.setup for g in identify(expand(load(path).spec), digests)]
    path.write_text(GOOD, "utf-8")
    one = [g.setup for g in identify(expand(load(path).spec), digests)]
    assert {setup.training.workers for setup in grids if setup.training is not None} == {2}
    same = [a.setup_id == b.setup_id for a, b in zip(one, two, strict=True)]
    assert same == [setup.training is None for setup in grids]


def test_networks_that_see_other_pixels_are_trained_apart(tmp_path) -> None:
    one = "files: {architecture: digits_cnn, weights: w.pt, normalize: none}"
    two = one.replace("none", "half")
    path = tmp_path / "spec.yaml"
    models = f"models:\n  - {{{one}, name: a}}\n  - {{{two}, name: b}}\n  - {{{one}, name: c}}\n"
    path.write_text(GOOD.replace("models: digits_cnn\n", models), "utf-8")
    digests = Digests(dict.fromkeys("abc", "weights"), "images", training="train")
    grids = identify(expand(load(path).spec), digests)
    shared = {grid.setup.model_name: set() for grid in grids}
    for setup in (grid.setup for grid in grids if grid.setup.training is not None):
        shared[setup.model_name].add(setup.training.digest)
    assert len(shared["a"]) == 6  # two seeds; plain shared by both formats, quantized by none
    assert shared["a"] == shared["c"]
    assert not shared["a"] & shared["b"]

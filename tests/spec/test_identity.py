"""What decides an id: golden ids, and every input that must change them."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.sources import MODELS
from campaign.spec.expand import expand
from campaign.spec.grid import Setup, Targets
from campaign.spec.identity import (
    Digests,
    campaign_identity,
    drift,
    identify,
    setup_id,
    setup_identity,
)
from campaign.spec.load import load
from campaign.trial.evaluate import chosen_images

GOLDEN = Path(__file__).parents[1] / "golden" / "identities.json"
SPEC = """\
name: golden
models: digits_cnn
dataset: digits
grid:
  dtype: [fp32, q2_5, {int8: {per: channel}}]
  method: [none, weight_scaling, {saf: {function: softsign}}, [parity, range_clamp]]
  t: {fp32: [2^120, max], q2_5: 2}
  ber: [1.0e-6, 0.01]
  seeds: 2
  nonfinite: [propagate, zero]
  exclude:
    - {dtype: int8*, method: weight_scaling}
targets: {biases: true, exclude: conv1.*, exempt_bits: msb}
evaluation: {subset: 100}
"""
DIGESTS = Digests({"digits_cnn": "c" * 64}, "d" * 64)


@pytest.fixture
def grids(tmp_path):  # noqa: ANN201
    (tmp_path / "spec.yaml").write_text(SPEC, "utf-8")
    return expand(load(tmp_path / "spec.yaml").spec)


def test_trial_ids_are_frozen(grids) -> None:
    """A changed id would run finished campaigns anew: raise SEMANTICS, or restore the id."""
    found = {
        "trials": [p.trial_id for grid in identify(grids, DIGESTS) for p in grid.points()],
        "identity": setup_identity(grids[0].setup, DIGESTS),
        "subset_of_1000": chosen_images(1000, 10).tolist(),
    }
    if os.environ.get("CAMPAIGN_REFREEZE"):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    assert json.loads(json.dumps(found)) == json.loads(GOLDEN.read_text("utf-8"))


def test_every_setup_has_an_id_of_its_own(grids) -> None:
    ids = [grid.setup.setup_id for grid in identify(grids, DIGESTS)]
    assert len(set(ids)) == len(ids) == 24


def changed(setup: Setup) -> dict[str, Setup]:
    """The setup with one thing changed, by what was."""
    files = {"weights": "x.pt", "architecture": "cifar_resnet20", "normalize": "imagenet"}
    stack = (METHODS.make("range_clamp", {"out_of_range": "zero"}),)
    changes: dict[str, dict[str, object]] = {
        "dataset name": {"dataset_name": "other"},
        "dtype": {"dtype": FORMATS.make("bf16")},
        "stack": {"stack": stack},
        "t": {"t": 3.0},
        "nonfinite": {"nonfinite": "clamp"},
        "targets": {"targets": Targets()},
        "include": {"targets": Targets(include=("a",))},
        "exempt": {"targets": Targets(exempt_bits=(3,))},
        "subset": {"subset": 7},
        "preprocess": {"model": MODELS.make("files", files)},
    }
    return {what: dataclasses.replace(setup, **change) for what, change in changes.items()}


def test_whatever_decides_a_result_changes_the_id(grids) -> None:
    setup = grids[0].setup
    ids = {name: setup_id(other, DIGESTS) for name, other in changed(setup).items()}
    ids["nothing"] = setup_id(setup, DIGESTS)
    ids["checkpoint"] = setup_id(setup, Digests({"digits_cnn": "e" * 64}, "d" * 64))
    ids["data"] = setup_id(setup, Digests({"digits_cnn": "c" * 64}, "e" * 64))
    other_digests = Digests({"other": "c" * 64}, "d" * 64)
    ids["model name"] = setup_id(dataclasses.replace(setup, model_name="other"), other_digests)
    assert len(set(ids.values())) == len(ids)


def test_the_content_of_the_file_of_a_fault_model_counts_and_its_path_does_not(grids) -> None:
    def chip_id(file: str, cells: int, digest: str) -> str:
        fault = FAULTS.make("chip_map", {"file": file, "cells": cells})
        setup = dataclasses.replace(grids[0].setup, fault=fault)
        return setup_id(setup, dataclasses.replace(DIGESTS, fault=digest))

    held = chip_id("/a/chip.csv", 100, "a" * 64)
    assert held == chip_id("/b/other.csv", 100, "a" * 64)
    assert (
        len({held, chip_id("/a/chip.csv", 100, "b" * 64), chip_id("/a/chip.csv", 9, "a" * 64)}) == 3
    )


@pytest.mark.parametrize("what", ["checkpoint", "data", "preprocess", "semantics"])
def test_a_change_of_what_is_read_is_drift(grids, what) -> None:
    held = json.loads(json.dumps(campaign_identity(grids, DIGESTS)))
    new = json.loads(json.dumps(held))
    if what in ("checkpoint", "preprocess"):
        new["models"]["digits_cnn"][what] = "e" * 64
    else:
        new[what] = "e" * 64
    assert drift(held, held) == []
    (line,) = drift(held, new)
    assert what in line
    assert "eeeeeeeeeeee..." in line


def test_models_that_only_one_side_has_are_no_drift(grids) -> None:
    held = json.loads(json.dumps(campaign_identity(grids, DIGESTS)))
    assert drift({**held, "models": {}}, held) == []

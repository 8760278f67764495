"""The specs of trained saturated weights cover arXiv 2411.19027, and run as they stand."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import safetensors.torch
import torch

from campaign.analysis.claims import claims
from campaign.analysis.rows import as_trials
from campaign.engines.stores.reader import read_results
from campaign.methods.retrained import Retrained
from campaign.methods.trained_saf import TrainedSaturatedWeights
from campaign.published import load_published
from campaign.runner.result import Job, RunOptions
from campaign.runner.run import run_campaign
from campaign.sources.networks import build_network
from campaign.spec.expand import expand
from campaign.spec.load import load
from tests.runner.conftest import Ear

SPECS = Path(__file__).parents[2] / "specs"
STARTS = {
    "cifar10_trained_saf": {"weights", "inverse"},
    "cifar100_saf": {"weights", "inverse"},
    "imagenet_saf": {"weights", "inverse"},
    "cifar10_saf_scratch": {"scratch"},
    "cifar100_saf_scratch": {"scratch"},
    "imagenet_saf_scratch": {"scratch"},
}
"""Where training starts, by spec."""
TRAIN, TEST = 48, 20


@pytest.mark.parametrize("name", STARTS)
def test_each_format_has_saf_beside_the_same_training_without_it(name: str) -> None:
    setups = [grid.setup for grid in expand(load(SPECS / f"{name}.yaml", environment={}).spec)]
    assert {setup.dtype.label for setup in setups} == {"fp32", "fp16", "q2_5"}
    for dtype in ("fp32", "fp16", "q2_5"):
        stacks = [setup.stack for setup in setups if setup.dtype.label == dtype]
        methods = [method for stack in stacks for method in stack]
        saf = [method for method in methods if isinstance(method, TrainedSaturatedWeights)]
        assert {method.start for method in saf} == STARTS[name]
        plain = {method.start for method in methods if isinstance(method, Retrained)}
        assert plain == {"scratch" if STARTS[name] == {"scratch"} else "weights"}
        assert () in stacks


@pytest.mark.parametrize("name", STARTS)
def test_no_image_is_trained_on_and_judged(name: str) -> None:
    spec = load(SPECS / f"{name}.yaml", environment={}).spec
    grid = expand(spec)[-1]
    assert grid.setup.training is not None
    assert grid.setup.training.dataset.label != grid.setup.dataset.label


def test_trained_and_converted_networks_stand_beside_what_the_paper_says() -> None:
    """The rows of another network, named as those of imagenet_saf are."""
    rows = as_trials(read_results(SPECS.parent / "results" / "reference" / "cifar10_trained_saf"))
    table = claims(rows.assign(model="resnet18", dataset="imagenet"), load_published())
    beside = table[table["claim"] == "saf_resnet18_fp32"]
    assert set(beside["method"]) == {
        "trained_saf",
        "trained_saf(function=scaled_tanh, start=inverse)",
    }
    assert set(beside["verdict"]) == {"not comparable"}
    assert beside["reasons"].str.contains("published in words").all()


def write_images(path: Path, count: int, key: str, classes: int) -> None:
    rng = np.random.default_rng(count)
    pixels = rng.integers(0, 256, (count, 3 * 32 * 32), dtype=np.uint8)
    labels = [int(label) for label in rng.integers(0, classes, count)]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps({"data": pixels, key: labels}, protocol=2))


def stand_in(root: Path, name: str) -> None:
    """Files of CIFAR's layout with few images of noise, and untrained weights."""
    if name.startswith("cifar100"):
        key, classes, network, weights = "fine_labels", 100, "resnet20_b", "cifar100_resnet20_b"
        parts = {"train": TRAIN, "test": TEST}
        folder = root / "cifar-100-python"
    else:
        key, classes, network, weights = "labels", 10, "cifar_resnet20", "cifar10_resnet20"
        parts = {f"data_batch_{place}": TRAIN for place in range(1, 6)} | {"test_batch": TEST}
        folder = root / "cifar-10-batches-py"
    for part, count in parts.items():
        write_images(folder / part, count, key, classes)
    (root / "weights").mkdir()
    torch.manual_seed(0)
    state = build_network(network, classes).state_dict()
    safetensors.torch.save_file(state, str(root / "weights" / f"{weights}.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10_saf_scratch", "cifar100_saf", "cifar100_saf_scratch"])
def test_a_stand_in_of_the_data_is_trained_on_and_judged(name: str, tmp_path: Path) -> None:
    stand_in(tmp_path, name)
    small = (
        *("training.recipe.epochs=1", "training.recipe.batch_size=16", "training.seeds=1"),
        "training.recipe.warmup_epochs=0",
        *("training.recipe.validation_images=16", "grid.ber=[1.0e-3]", "grid.seeds=1"),
        *("engine.executor=inline", "output.mlflow=false", "output.report=false"),
    )
    data = {"CIFAR_ROOT": str(tmp_path), "CAMPAIGN_DATA": str(tmp_path)}
    loaded = load(SPECS / f"{name}.yaml", small, environment=data)
    folder = tmp_path / "results"
    job = Job(loaded.spec, loaded.text, loaded.resolved())
    result = run_campaign(job, RunOptions(results=folder), Ear())
    assert (result.exit_code, result.ok) == (0, result.total)
    rows = read_results(folder)
    assert set(rows["n_samples"].to_pylist()) == {TEST}
    trained = rows.filter(pc.is_valid(rows["train_seed"]))
    assert len(set(trained["method"].to_pylist())) == 5
    assert len(set(rows["dtype"].to_pylist())) == 3

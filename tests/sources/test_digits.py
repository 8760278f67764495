from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from campaign.sources import DATASETS, MODELS, Preprocess, digits_cnn
from campaign.sources.digits import digits
from campaign.sources.digits_cnn import RECIPE, train
from campaign.sources.networks import build_network

NO_TORCH = """
import sys
from campaign.sources import DATASETS, MODELS
for source in (MODELS.make("digits_cnn"), DATASETS.make("digits")):
    print(source.digest())
assert MODELS.make("digits_cnn").state()["linear.weight"].shape == (10, 512)
assert MODELS.make("digits_cnn").parameter_counts()["weights"] == 9872
heavy = {"torch", "sklearn", "torchvision", "pyarrow", "PIL"} & set(sys.modules)
assert not heavy, heavy
"""


def test_both_parts_together_are_scikit_learns_digits() -> None:
    x, y = load_digits(return_X_y=True)
    expected = sorted(
        (row.astype(np.uint8).tobytes(), label) for row, label in zip(x, y, strict=True)
    )
    parts = [digits("train"), digits("test")]
    found = [
        (pixels.tobytes(), label)
        for part in parts
        for pixels, label in zip(part.pixels, part.labels, strict=True)
    ]
    assert sorted(found) == expected
    assert [len(part.labels) for part in parts] == [1197, 600]


def test_the_test_images_are_fixed() -> None:
    images = DATASETS.make("digits").images(MODELS.make("digits_cnn").preprocess)
    assert images.pixels.shape == (600, 1, 8, 8)
    assert (images.pixels.dtype, images.pixels.max(), images.labels.dtype) == (
        np.uint8,
        16,
        np.int64,
    )
    assert np.bincount(images.labels).tolist() == [59, 69, 59, 58, 62, 56, 67, 64, 50, 56]
    held = hashlib.sha256(images.pixels.tobytes() + images.labels.tobytes()).hexdigest()
    assert held[:16] == "2d02c69def3003ec"


def test_the_train_split_is_the_rest() -> None:
    source = DATASETS.make("digits", {"split": "train"})
    images = source.images(MODELS.make("digits_cnn").preprocess)
    assert np.array_equal(images.pixels, digits("train").pixels)
    assert (source.size(), source.label) == (len(images.labels), "digits(split=train)")
    assert source.digest() != DATASETS.make("digits").digest()


def test_digits_can_be_resized_for_larger_networks() -> None:
    assert DATASETS.make("digits").images(Preprocess(resize=16)).pixels.shape == (600, 1, 16, 16)


NETWORKS = ("digits_cnn", "digits_mlp")


def logits(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Answers to the test images, and their labels."""
    model = MODELS.make(name)
    network = model.build()
    network.load_state_dict({k: torch.from_numpy(v) for k, v in model.state().items()})
    images = DATASETS.make("digits").images(model.preprocess)
    inputs = torch.from_numpy(images.pixels).float() / model.preprocess.divisor
    with torch.inference_mode():
        return network(inputs), torch.from_numpy(images.labels)


@pytest.mark.parametrize(("name", "least"), [("digits_cnn", 0.97), ("digits_mlp", 0.96)])
def test_clean_accuracy_is_what_the_networks_are_told_to_have(name: str, least: float) -> None:
    answers, labels = logits(name)
    assert (answers.argmax(1) == labels).float().mean() >= least


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_has_an_inverse_tanh(name: str) -> None:
    assert all(abs(array).max() < 1 for array in MODELS.make(name).state().values())


@pytest.mark.parametrize("name", NETWORKS)
def test_training_again_gives_the_same_file_whatever_the_thread_count(name: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = train(RECIPE, name)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    held = MODELS.make(name).state()
    assert sorted(again) == list(held)
    assert all(np.array_equal(again[name], held[name]) for name in held)


def test_training_touches_no_global_generator_and_works_in_inference_mode() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with torch.inference_mode():
        weights = train(RECIPE._replace(epochs=1))
    assert torch.equal(torch.get_rng_state(), before)
    grid = 2.0**RECIPE.fraction_bits
    assert all(np.array_equal(np.rint(v * grid), v * grid) for v in weights.values())


def test_a_trained_network_is_read_without_torch(cache: Path) -> None:
    model, dataset = MODELS.make("digits_cnn").digest(), DATASETS.make("digits").digest()
    assert len(list(cache.glob("digits_cnn-*.safetensors"))) == 1
    found = subprocess.run(
        [sys.executable, "-c", NO_TORCH],
        env={**os.environ, "CAMPAIGN_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.stdout.split(), found.stderr) == ([model, dataset], "")


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CAMPAIGN_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(digits_cnn, "RECIPE", RECIPE._replace(epochs=1))
    model = MODELS.make("digits_cnn")
    assert model.digest() == model.digest()
    assert model.state()["conv1.weight"].shape == (16, 1, 3, 3)


@pytest.mark.parametrize(
    ("network", "weights", "biases"), [("digits_cnn", 9872, 58), ("digits_mlp", 115_968, 650)]
)
def test_the_networks_have_the_sizes_their_descriptions_say(
    network: str, weights: int, biases: int
) -> None:
    sizes = {n: p.numel() for n, p in build_network(network).named_parameters()}
    assert sum(n for name, n in sizes.items() if name.endswith("weight")) == weights
    assert sum(n for name, n in sizes.items() if name.endswith("bias")) == biases
    assert f"{weights:,} weights" in (type(MODELS.make(network)).__doc__ or "")

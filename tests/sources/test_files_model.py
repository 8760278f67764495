from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from campaign.errors import SetupError
from campaign.registry import OptionError
from campaign.sources import MODELS, ModelSource
from campaign.sources.cache import combined_digest
from campaign.sources.networks import build_network


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "my_lenet.safetensors"
    save_file(build_network("lenet_cifar", 7).state_dict(), path)
    return path


def make(weights: Path | str, **options: object) -> ModelSource:
    given = {"architecture": "lenet_cifar", "normalize": "half", "num_classes": 7, **options}
    return MODELS.make("files", {"weights": str(weights), **given})


def test_the_weights_of_the_file_are_the_state_of_the_network(weights: Path) -> None:
    model = make(weights)
    network, state = model.build(), model.state()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    reference = build_network("lenet_cifar", 7)
    reference.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(network(images), reference(images))
    assert list(state) == list(network.state_dict())
    assert model.label == "my_lenet"


def test_counts_are_those_of_the_classes_that_are_asked_for(weights: Path) -> None:
    counts = make(weights).parameter_counts()
    state = make(weights).state()
    assert counts is not None
    assert counts["weights"] == sum(a.size for n, a in state.items() if n.endswith("weight"))
    assert counts["biases"] == sum(a.size for n, a in state.items() if n.endswith("bias"))


def test_the_digest_sees_file_architecture_and_classes(weights: Path) -> None:
    digests = {
        make(weights).digest(),
        make(weights, num_classes=8).digest(),
        make(weights, architecture="cifar_resnet20").digest(),
    }
    weights.write_bytes(weights.read_bytes() + b"x")
    assert len({*digests, make(weights).digest()}) == 4
    assert make(weights, normalize="cifar10").digest() == make(weights).digest()


def test_geometry_and_normalisation_become_the_preprocessing() -> None:
    found = make(
        "x", normalize="imagenet", resize=256, crop=224, interpolation="bicubic"
    ).preprocess
    assert (found.resize, found.crop, found.interpolation) == (256, 224, "bicubic")
    assert (found.divisor, found.mean) == (255.0, (0.485, 0.456, 0.406))
    own = make("x", normalize={"mean": [0.1], "std": [0.2]})
    assert (own.preprocess.mean, own.preprocess.std) == ((0.1,), (0.2,))
    assert hash(own) == hash(make("x", normalize={"mean": [0.1], "std": [0.2]}))


def test_the_wrong_number_of_classes_is_told(weights: Path) -> None:
    with pytest.raises(SetupError, match=r"fc3\.\w+ is \(7,.* in the network; .*num_classes"):
        make(weights, num_classes=10).state()


def test_another_architecture_is_told(weights: Path) -> None:
    with pytest.raises(SetupError, match=r"does not fit the architecture: \d+ missing \(bn1"):
        make(weights, architecture="cifar_resnet20").state()


def test_a_missing_file_is_told_with_what_to_do() -> None:
    for call in (make("gone.pt").digest, make("gone.pt").state):
        with pytest.raises(SetupError, match=r"gone\.pt: No such file"):
            call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "lenet_cifr"}, "did you mean 'lenet_cifar'"),
        ({"normalize": "imagnet"}, "did you mean 'imagenet'"),
        ({"normalise": "half"}, "did you mean 'normalize'"),
        ({"num_classes": 0}, "greater than or equal to 1"),
        ({"crop": -1}, "greater than or equal to 1"),
        ({"interpolation": "cubic"}, "allowed: 'bilinear', 'bicubic' or 'nearest'"),
        ({"padding": "valid"}, "padding"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make("x", **options)


def test_normalisation_must_be_said() -> None:
    with pytest.raises(OptionError, match="normalize: is required"):
        MODELS.make("files", {"weights": "x", "architecture": "lenet_cifar"})


def test_googlenet_weights_with_training_classifiers_fit(tmp_path: Path) -> None:
    tensors = build_network("torchvision/googlenet").state_dict()
    torch.save({**tensors, "aux1.conv.conv.weight": torch.zeros(3)}, tmp_path / "g.pth")
    model = make(tmp_path / "g.pth", architecture="torchvision/googlenet", num_classes=1000)
    assert sorted(model.state()) == sorted(tensors)
    assert all(isinstance(array, np.ndarray) for array in model.state().values())


def test_same_padding_is_another_network_of_the_same_weights(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(build_network("cifar_resnet20").state_dict(), path)
    options = {"architecture": "cifar_resnet20", "num_classes": None}
    built, same = make(path, **options), make(path, **options, padding="same")
    assert built.digest() == make(path, **options, padding=None).digest() != same.digest()
    assert list(built.state()) == list(same.state())
    assert (built.macs(), built.parameter_counts()) == (same.macs(), same.parameter_counts())
    images, tensors = (
        torch.rand(2, 3, 32, 32),
        {k: torch.from_numpy(v) for k, v in same.state().items()},
    )
    answers = []
    for model in (built, same):
        network = model.build()
        network.load_state_dict(tensors)
        answers.append(network(images))
    assert not torch.allclose(*answers)


def test_digests_without_padding_are_those_of_before_the_option(weights: Path) -> None:
    held = hashlib.sha256(weights.read_bytes()).hexdigest()
    into = combined_digest("lenet_cifar", 7)
    assert make(weights).digest() == combined_digest(into, held, None, "")


def test_padding_that_changes_nothing_is_told(weights: Path) -> None:
    with pytest.raises(SetupError, match=r"padding: same: lenet_cifar has no Conv2d of stride 2"):
        make(weights, padding="same").build()

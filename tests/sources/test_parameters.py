from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from campaign.sources.known import KINDS, KNOWN, known_macs, known_scalars
from campaign.sources.networks import build_network
from campaign.sources.parameters import (
    build_empty,
    count_architecture,
    parameter_kinds,
    scalars_by_kind,
)
from campaign.sources.torchvision_weights import CATALOGUE, published

SAMPLE = [
    "cifar_resnet20",
    "digits_cnn",
    "digits_mlp",
    "tiny_resnet8",
    "torchvision/resnet18",
    "torchvision/squeezenet1_1",
    "torchvision/regnet_y_400mf",
]


class Odd(nn.Module):
    """One of each kind of owner."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, kdim=4, vdim=4, add_bias_kv=True)
        self.plain = nn.MultiheadAttention(8, 2)
        self.transposed = nn.ConvTranspose2d(2, 2, 3)
        self.norms = nn.ModuleList(
            [nn.GroupNorm(2, 4), nn.RMSNorm(4), nn.InstanceNorm1d(4, affine=True)]
        )
        self.embedding = nn.Embedding(3, 2)
        self.token = nn.Parameter(torch.zeros(2))
        self.tied = self.transposed


def test_every_owner_gives_its_parameters_their_kind() -> None:
    model = Odd()
    kinds = parameter_kinds(model)
    assert list(kinds) == [name for name, _ in model.named_parameters()]
    assert kinds == {
        "token": "other",
        "attention.q_proj_weight": "weights",
        "attention.k_proj_weight": "weights",
        "attention.v_proj_weight": "weights",
        "attention.in_proj_bias": "biases",
        "attention.bias_k": "other",
        "attention.bias_v": "other",
        "attention.out_proj.weight": "weights",
        "attention.out_proj.bias": "biases",
        "plain.in_proj_weight": "weights",
        "plain.in_proj_bias": "biases",
        "plain.out_proj.weight": "weights",
        "plain.out_proj.bias": "biases",
        "transposed.weight": "weights",
        "transposed.bias": "biases",
        "norms.0.weight": "norms",
        "norms.0.bias": "norms",
        "norms.1.weight": "norms",
        "norms.2.weight": "norms",
        "norms.2.bias": "norms",
        "embedding.weight": "other",
    }


def test_resnet18_is_the_sum_that_can_be_done_by_hand() -> None:
    blocks = [
        (64, 64),
        (64, 64),
        (64, 128),
        (128, 128),
        (128, 256),
        (256, 256),
        (256, 512),
        (512, 512),
    ]
    convolutions = 3 * 64 * 49 + sum(9 * (a * b + b * b) for a, b in blocks)
    shortcuts = 64 * 128 + 128 * 256 + 256 * 512
    found = scalars_by_kind(build_network("torchvision/resnet18"))
    assert found["weights"] == convolutions + shortcuts + 512 * 1000
    assert found["biases"] == 1000
    assert found["norms"] == 2 * (64 + 2 * sum(b for _, b in blocks) + 128 + 256 + 512)
    assert found["other"] == 0


@pytest.mark.parametrize("name", SAMPLE)
def test_the_committed_counts_are_current(name: str) -> None:
    assert count_architecture(name) == KNOWN[name]


@pytest.mark.slow
def test_all_committed_counts_are_current() -> None:
    for name in KNOWN:
        assert count_architecture(name) == KNOWN[name], name


def test_the_counts_add_up_to_what_torchvision_publishes() -> None:
    auxiliary = {"inception_v3": 3_326_696}  # its training classifier, which is left out
    for name in CATALOGUE:
        for member in models.get_model_weights(name):
            if member.name in CATALOGUE[name]["weights"]:
                counts = known_scalars(published(name, member.name).architecture)
                assert counts is not None
                expected = member.meta["num_params"] - auxiliary.get(name, 0)
                assert sum(counts.values()) == expected, member


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.parametrize("num_classes", [2, 345])
def test_counts_follow_the_number_of_classes(name: str, num_classes: int) -> None:
    assert known_scalars(name, num_classes) == scalars_by_kind(build_empty(name, num_classes))


def test_an_unknown_architecture_has_no_counts() -> None:
    assert known_scalars("my_nets:network") is None
    assert set(KINDS) == set(KNOWN["digits_cnn"]["scalars"])


def test_multiply_adds_are_those_counted_by_hand() -> None:
    """digits_cnn: two 3x3 convolutions on 8x8 images, one linear layer after pooling."""
    weights = [p for p in build_network("digits_cnn").parameters() if p.ndim > 1]
    convolutions = sum(64 * p.numel() for p in weights if p.ndim == 4)
    linear = sum(p.numel() for p in weights if p.ndim == 2)
    assert known_macs("digits_cnn") == convolutions + linear
    assert known_macs("digits_mlp") == 64 * 256 + 256 * 256 + 256 * 128 + 128 * 10
    assert known_macs("torchvision/resnet18") == 1_814_073_344
    assert known_macs("my_nets:network") is None

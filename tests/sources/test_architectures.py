from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision import models
from torchvision.models.resnet import BasicBlock

from campaign.sources.architectures import ARCHITECTURES, build_named
from campaign.sources.architectures.cifar_resnet import PaddingBlock, ProjectionBlock

# He et al., CVPR 2016, table 6: millions of parameters.
HE = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}
# Published table of pytorch-cifar-models for CIFAR-10: millions of parameters.
PROJECTION = {20: 0.27, 32: 0.47, 44: 0.66, 56: 0.86}
VGG_BN = {11: 9.76, 13: 9.94, 16: 15.25, 19: 20.57}


def millions(name: str) -> float:
    return sum(p.numel() for p in build_named(name).parameters()) / 1e6


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("num_classes", [None, 7])
def test_every_network_gives_finite_logits_of_its_classes(
    name: str, num_classes: int | None
) -> None:
    model = build_named(name, num_classes).eval()
    shape = (2, 1, 8, 8) if name.startswith("digits_") else (2, 3, 32, 32)
    with torch.inference_mode():
        logits = model(torch.rand(shape, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (2, num_classes or 10)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_activation_is_a_module_that_runs_once(name: str) -> None:
    model = build_named(name).eval()
    calls: list[str] = []
    for path, module in model.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda *_, path=path: calls.append(path))
    with torch.inference_mode():
        model(torch.rand((1, 1, 8, 8) if name.startswith("digits_") else (1, 3, 32, 32)))
    relus = [path for path, module in model.named_modules() if isinstance(module, nn.ReLU)]
    assert sorted(calls) == sorted(relus)
    assert calls


@pytest.mark.parametrize("depth", HE)
def test_resnets_have_the_published_number_of_parameters(depth: int) -> None:
    assert millions(f"cifar_resnet{depth}") == pytest.approx(
        HE[depth], abs=0.04 if depth > 99 else 0.006
    )
    if depth in PROJECTION:
        assert millions(f"cifar_resnet{depth}_b") == pytest.approx(PROJECTION[depth], abs=0.006)


def test_the_order_of_diehardnet_is_relu_then_batchnorm_in_weights_of_the_same_names() -> None:
    usual, ours = (build_named(f"cifar_resnet20{end}").eval() for end in ("", "_relu_first"))
    state = usual.state_dict()
    draw = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if "bn" in name and value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=draw) + 0.5)
    ours.load_state_dict(state)

    def normed(x: torch.Tensor, at: str) -> torch.Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(state[f"{at}.{name}"] for name in names))

    images = torch.rand(2, 3, 32, 32, generator=draw)
    with torch.inference_mode():
        x = normed(functional.conv2d(images, state["conv1.weight"], padding=1).relu(), "bn1")
        for stage in (1, 2, 3):
            for block in range(3):
                at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
                inner = functional.conv2d(x, state[f"{at}.conv1.weight"], None, stride, 1)
                inner = normed(inner.relu(), f"{at}.bn1")
                inner = functional.conv2d(inner, state[f"{at}.conv2.weight"], padding=1)
                if stride == 2:
                    none = torch.zeros_like(x[:, : x.shape[1] // 2, ::2, ::2])
                    x = torch.cat([none, x[:, :, ::2, ::2], none], 1)
                x = (normed(inner, f"{at}.bn2") + x).relu()
        logits = functional.linear(x.mean((2, 3)), state["linear.weight"], state["linear.bias"])
        torch.testing.assert_close(ours(images), logits)
        assert not torch.allclose(usual(images), logits)


@pytest.mark.parametrize("depth", VGG_BN)
def test_vggs_have_the_published_number_of_parameters(depth: int) -> None:
    assert millions(f"cifar_vgg{depth}_bn") == pytest.approx(VGG_BN[depth], abs=0.006)


@pytest.mark.parametrize("suffix", ["", "_bn"])
def test_vgg_features_are_those_of_torchvision(suffix: str) -> None:
    ours = build_named(f"cifar_vgg16{suffix}").eval().get_submodule("features")
    theirs = models.get_model(f"vgg16{suffix}", weights=None, init_weights=False).eval().features
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize(("before", "after", "stride"), [(16, 16, 1), (16, 32, 2)])
def test_a_projection_block_is_torchvisions_basic_block(
    before: int, after: int, stride: int
) -> None:
    ours = ProjectionBlock(before, after, stride).eval()
    projection = nn.Sequential(
        nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
    )
    theirs = BasicBlock(before, after, stride, projection if stride == 2 else None).eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(2, before, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))


def test_a_padding_shortcut_keeps_every_second_pixel_between_zero_channels() -> None:
    images = torch.rand(2, 16, 8, 8)
    found = PaddingBlock(16, 32, 2).shortcut(images)
    assert found.shape == (2, 32, 4, 4)
    assert torch.equal(found[:, 8:24], images[:, :, ::2, ::2])
    assert not found[:, :8].any()
    assert not found[:, 24:].any()

"""Layout and batch size: how a network lies in memory changes no answer beyond rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from campaign.records import TrialRecord
from campaign.sources import DATASETS, MODELS, Images
from campaign.sources.networks import build_network
from campaign.spec.grid import Point, Setup, Targets
from campaign.trial.layout import (
    CACHE_BYTES,
    Placed,
    batch_of,
    even_batches,
    put_channels_last,
)
from campaign.trial.worker import TrialWork, data_asset

DIGITS = MODELS.make("digits_cnn")
FAST = TrialWork(code_version="test", use_gpu=False)
REFERENCE = replace(FAST, mode="reference", batch_size=200)
COUNTS = ("n_correct", "n_correct_top5", "n_nonfinite", "n_sdc", "n_sdc5", "n_improved")
DRAWN = ("flipped_bits", "flipped_words", "flips_digest", "corrected", "detected")


def asset_of(images: Images) -> dict[str, object]:
    return {data_asset(DIGITS.preprocess): images}


@pytest.fixture(scope="module")
def assets() -> dict[str, object]:
    images = DATASETS.make("digits").images(DIGITS.preprocess)
    return {"model:digits_cnn": DIGITS.state(), **asset_of(images)}


class Tall(nn.Module):
    """Looks at how activations lie."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv, self.linear = conv, nn.Linear(4 * 64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.linear(self.conv(x).view(len(x), -1))
        return logits


def rows(work: TrialWork, assets: dict[str, object], setup: Setup) -> list[TrialRecord]:
    points = [Point(f"{b}-{s}", b, s) for b in (0.0, 1e-4, 1e-3, 1e-2) for s in range(3)]
    return list(work.open(assets.__getitem__).trials(setup, points, 1))


@pytest.mark.parametrize(
    ("dtype", "methods"),
    [("fp32", ()), ("fp16", ("secded",)), ("int8", ("range_clamp",)), ("fp32", ("clipped_relu",))],
)
def test_fast_trials_count_what_reference_trials_count(make_setup, assets, dtype, methods) -> None:
    setup = make_setup(dtype, *methods)
    for fast, plain in zip(*(rows(w, assets, setup) for w in (FAST, REFERENCE)), strict=True):
        assert fast.compute.startswith("fp32 channels_last batch=300 threads=1 torch="), fast.error
        assert plain.compute.startswith("fp32 reference batch=200 threads=1 torch=")
        for name in (*COUNTS, *DRAWN):
            assert getattr(fast, name) == getattr(plain, name), (name, fast.trial_id)


def random_resnet20() -> tuple[dict[str, np.ndarray], Images]:
    torch.manual_seed(0)
    module = build_network("cifar_resnet20")
    for name, buffer in module.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    pixels = np.random.default_rng(0).integers(0, 256, (96, 3, 32, 32), dtype=np.uint8)
    return state, Images(pixels, np.arange(96, dtype=np.int64) % 10)


def test_predictions_of_a_resnet_differ_by_rounding_alone(make_setup) -> None:
    state, images = random_resnet20()

    class Source(type(DIGITS)):  # type: ignore[misc]
        def build(self) -> nn.Module:
            return build_network("cifar_resnet20")

    setup = replace(make_setup(), model=Source())
    assets = {"model:digits_cnn": state, **asset_of(images)}
    workers = [work.open(assets.__getitem__) for work in (FAST, replace(REFERENCE, batch_size=96))]
    fast, plain = (worker._ready(setup) for worker in workers)
    assert fast.data.pixels.is_contiguous(memory_format=torch.channels_last)
    assert plain.data.pixels.is_contiguous()
    assert fast.data.batch_size == 48
    torch.testing.assert_close(fast.fault_free, plain.fault_free, rtol=1e-4, atol=1e-4)
    assert torch.equal(fast.fault_free.argmax(1), plain.fault_free.argmax(1))
    for held, other in zip(fast.stored.values(), plain.stored.values(), strict=True):
        assert held.clean.is_contiguous()
        assert torch.equal(held.clean, other.clean)


def test_a_network_that_looks_at_how_activations_lie_stays_contiguous() -> None:
    module, images = Tall(nn.Conv2d(3, 4, 3, padding=1)).eval(), torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        before = module(images)
        assert not put_channels_last(module, images)
        assert module.conv.weight.is_contiguous()
        assert torch.equal(module(images), before)


def test_gradients_can_be_taken_in_either_layout() -> None:
    module, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), torch.randn(2, 3, 8, 8)
    weight = module.requires_grad_(False)[0].weight

    def gradient() -> torch.Tensor:
        live = weight.requires_grad_()
        (found,) = torch.autograd.grad(module(images).square().sum(), live)
        weight.requires_grad_(False)
        return found

    expected = gradient()
    assert put_channels_last(module, images)
    torch.testing.assert_close(gradient(), expected, rtol=1e-4, atol=1e-4)


def test_a_network_whose_answer_depends_on_the_layout_stays_contiguous() -> None:
    class Strided(nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input) * input.stride(1)

    module = nn.Sequential(Strided(3, 4, 3), nn.Flatten())
    assert not put_channels_last(module, torch.randn(2, 3, 8, 8))
    assert module[0].weight.is_contiguous()


def test_a_network_without_a_convolution_stays_contiguous() -> None:
    assert not put_channels_last(nn.Flatten(), torch.randn(2, 3, 8, 8))


def test_stored_activations_keep_their_order(make_setup, assets) -> None:
    setup = make_setup("fp16", targets=Targets(activations=True))
    (record,) = FAST.open(assets.__getitem__).trials(setup, [Point("id", 1e-4, 0)], 1)
    assert record.compute.startswith("fp32 batch=256 threads=1")


def test_networks_of_both_layouts_take_turns_on_one_worker(make_setup, assets) -> None:
    plain, stored = make_setup("fp16"), make_setup("fp16", targets=Targets(activations=True))
    worker, point = FAST.open(assets.__getitem__), [Point("id", 1e-3, 1)]
    first, _, again = (next(worker.trials(s, point, 1)) for s in (plain, stored, plain))
    assert first.n_masked == again.n_masked
    assert first.compute == again.compute


def test_the_largest_output_of_a_batch_stays_in_the_cache() -> None:
    assert batch_of(build_network("cifar_resnet20"), torch.randn(2, 3, 32, 32)) == 64
    assert batch_of(build_network("digits_cnn"), torch.randn(2, 1, 8, 8)) * 8192 == CACHE_BYTES


def test_large_weights_and_large_images_are_computed_sixteen_at_once_or_more() -> None:
    assert batch_of(nn.Conv2d(3, 64, 3), torch.randn(2, 3, 224, 224)) == 16
    assert 64 <= batch_of(build_network("cifar_vgg11_bn"), torch.randn(2, 3, 32, 32)) <= 256


@pytest.mark.parametrize("most", [1, 7, 64, 600, 10_000])
@pytest.mark.parametrize("count", [1, 63, 64, 65, 600])
def test_batches_are_as_few_as_may_be_and_all_but_equal(count, most) -> None:
    size = even_batches(count, most)
    assert 1 <= size <= most
    assert -(-count // size) == -(-count // most)


class Hungry(nn.Module):
    """Has room for 40 images."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.room = 40

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        logits: torch.Tensor = self.linear(x.flatten(1))
        return logits


def hungry(make_setup, assets) -> tuple[Setup, dict[str, object]]:
    class Source(type(DIGITS)):  # type: ignore[misc]
        def build(self) -> nn.Module:
            return Hungry().eval()

    state = {name: value.numpy() for name, value in Hungry().state_dict().items()}
    return replace(make_setup(), model=Source()), {**assets, "model:digits_cnn": state}


def test_a_batch_that_memory_does_not_hold_is_halved(make_setup, assets) -> None:
    setup, held = hungry(make_setup, assets)
    (record,) = FAST.open(held.__getitem__).trials(setup, [Point("id", 1e-3, 0)], 1)
    assert record.status == "ok"
    assert "batch=37 " in record.compute
    (record,) = REFERENCE.open(held.__getitem__).trials(setup, [Point("id", 1e-3, 0)], 1)
    assert record.status == "ok"
    assert "batch=25 " in record.compute


def test_sizes_are_tried_down_to_one_image(network) -> None:
    assert list(Placed(network, False, 64, adapts=True).batch_sizes(100)) == [50, 25, 12, 6, 3, 1]
    assert list(Placed(network, False, 16, adapts=False).batch_sizes(100)) == [16, 8, 4, 2, 1]


def test_memory_that_runs_out_in_a_trial_makes_batches_smaller_from_then_on(
    make_setup, assets
) -> None:
    setup, held = hungry(make_setup, assets)
    worker = replace(FAST, batch_size=40).open(held.__getitem__)
    first, *_ = worker.trials(setup, [Point("a", 1e-3, 0)], 1)
    assert "batch=40 " in first.compute
    network = worker._prepared.network.module
    network.room = 12
    rows = list(worker.trials(setup, [Point("b", 1e-2, 0), Point("c", 1e-2, 1)], 1))
    assert [row.status for row in rows] == ["ok", "ok"]
    assert all("batch=10 " in row.compute for row in rows)
    network.room = 0
    (row,) = worker.trials(setup, [Point("d", 1e-2, 2)], 1)
    assert (row.status, row.error_type) == ("oom", "OutOfMemoryError")

"""Activations in faultable memory, against hooks on a second network that flip bits with numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from campaign.faults import FAULTS, Exposed, FieldKey, Stream
from campaign.faults.bitflip import BitFlip
from campaign.faults.thresholds import failing_cells
from campaign.formats import FORMATS
from campaign.spec.grid import Point, Profile, Targets
from campaign.trial.calibration import neurons_of, whole_blocks
from campaign.trial.evaluate import TestSet, judge
from campaign.trial.forward import Forward
from campaign.trial.memory import Storage
from campaign.trial.neurons import BLOCK, Strikes
from campaign.trial.run import Outcome, fault_maps, run_trial
from campaign.trial.setup import Network, Prepared, prepare

ONLY = Targets(kinds=(), activations=True)
BOTH = Targets(activations=True)
LAYERS = {"conv1": ("conv2d", 1024), "conv2": ("conv2d", 2048), "linear": ("linear", 10)}
VALUES = sum(values for _, values in LAYERS.values())


def part_of(data: TestSet, start: int, stop: int, batch_size: int = 200) -> TestSet:
    return replace(
        data,
        pixels=data.pixels[start:stop],
        labels=data.labels[start:stop],
        batch_size=batch_size,
    )


def fp32(values: np.ndarray, mask: np.ndarray, largest: float) -> np.ndarray:
    return (values.view(np.uint32) ^ mask.astype(np.uint32)).view(np.float32)


def q3_12(values: np.ndarray, mask: np.ndarray, largest: float) -> np.ndarray:
    code = np.clip(np.rint(values.astype(np.float64) * 4096), -32768, 32767).astype(np.int16)
    return ((code.view(np.uint16) ^ mask.astype(np.uint16)).view(np.int16) / 4096).astype("f4")


def int8(values: np.ndarray, mask: np.ndarray, largest: float) -> np.ndarray:
    step = np.float32(np.float64(largest) / 127)
    code = np.clip(np.rint(values.astype(np.float64) / np.float64(step)), -127, 127)
    flipped = code.astype(np.int8).view(np.uint8) ^ mask.astype(np.uint8)
    return flipped.view(np.int8).astype(np.float32) * step


WIDTHS = {"fp32": (32, fp32), "q3_12": (16, q3_12), "int8": (8, int8)}


def largest_outputs(module: nn.Module, images: Tensor) -> dict[str, float]:
    found: dict[str, float] = {}
    hooks = [
        module.get_submodule(name).register_forward_hook(
            lambda part, given, output, name=name: found.update({name: float(output.abs().max())})
        )
        for name in LAYERS
    ]
    with torch.inference_mode():
        module(images)
    for hook in hooks:
        hook.remove()
    return found


def by_hand(
    module: nn.Module, data: TestSet, dtype: str, ber: float, seed: int, largest: dict[str, float]
) -> tuple[Tensor, int]:
    """Logits and flips of a network with faults in what its layers give, block by block."""
    width, reads = WIDTHS[dtype]
    flips, place = [0], [0]

    def strike(name: str, order: int, output: Tensor) -> Tensor:
        label = f"{name}:{LAYERS[name][0]}#{order}/block{place[0]}"
        cells = failing_cells(output.numel() * width, ber, Stream(seed, label, "activation", width))
        mask = np.zeros(output.numel(), dtype=np.int64)
        for position in cells.positions:
            mask[position // width] ^= 1 << int(position % width)
        flips[0] += len(cells.positions)
        flat = output.numpy().reshape(-1)
        return torch.from_numpy(reads(flat, mask, largest[name])).reshape(output.shape)

    hooks = [
        module.get_submodule(name).register_forward_hook(
            lambda part, given, output, name=name, order=order: strike(name, order, output)
        )
        for order, name in enumerate(LAYERS)
    ]
    parts = []
    with torch.inference_mode():
        for start in range(0, len(data), 64):
            place[0] = start // 64
            parts.append(module(data.pixels[start : start + 64]))
    for hook in hooks:
        hook.remove()
    return torch.cat(parts), flips[0]


def copy_of(network: Network) -> nn.Module:
    copy = type(network.module)(10).eval()
    copy.load_state_dict({k: v.clone() for k, v in network.trained.items()})
    return copy


@pytest.mark.parametrize("dtype", ["fp32", "q3_12", "int8"])
@pytest.mark.parametrize("ber", [0.0, 1e-5, 1e-3])
def test_a_trial_is_what_hooks_on_a_copy_give(make_setup, network, digits, dtype, ber) -> None:
    data, split = part_of(digits, 0, 300, 64), part_of(digits, 300, 600)
    setup = make_setup(dtype, nonfinite="propagate", targets=ONLY)
    prepared = prepare(setup, network, data, split)
    copy = copy_of(network)
    largest = largest_outputs(copy, split.pixels)
    clean, _ = by_hand(copy, data, dtype, 0.0, 0, largest)
    logits, flips = by_hand(copy, data, dtype, ber, 5, largest)
    outcome = run_trial(prepared, Point("x", ber, 5))
    assert torch.equal(prepared.fault_free, clean)
    assert outcome.counts == judge(logits, data.labels, clean)
    assert outcome.flipped_bits == flips
    assert (flips > 0) == (ber > 0)


def test_weights_and_activations_are_struck_by_their_own_faults(
    make_setup, network, digits
) -> None:
    point = Point("x", 1e-4, 3)
    alone = [
        run_trial(prepare(make_setup(targets=targets), network, digits), point)
        for targets in (Targets(), ONLY)
    ]
    prepared = prepare(make_setup(targets=BOTH), network, digits)
    both = run_trial(prepared, point)
    assert both.flipped_bits == sum(each.flipped_bits for each in alone)
    assert both.flipped_words == sum(each.flipped_words for each in alone)
    assert prepared.exposed_bits == 32 * (9872 + 600 * VALUES)
    assert prepared.stored_bits == 32 * 9872


def test_a_flip_ratio_is_the_rate_at_six_sigma(make_setup, network, digits) -> None:
    ber, trials = 1e-5, 10
    prepared = prepare(make_setup("fp16", targets=ONLY), network, digits)
    bits = prepared.exposed_bits
    assert bits == 16 * 600 * VALUES
    flips = [run_trial(prepared, Point("x", ber, seed)).flipped_bits for seed in range(trials)]
    mean, variance = bits * ber, bits * ber * (1 - ber)
    assert abs(np.mean(flips) - mean) < 6 * (variance / trials) ** 0.5
    assert len(set(flips)) > 1


class Remembered(BitFlip):
    """Independent flips that are remembered."""

    def __init__(self) -> None:
        self.__dict__["seen"] = {}

    def sample_all(
        self, memory: Mapping[FieldKey, Exposed], ber: float, seed: int
    ) -> dict[FieldKey, np.ndarray]:
        found = super().sample_all(memory, ber, seed)
        self.__dict__["seen"] |= {key: set(places.tolist()) for key, places in found.items()}
        return found


def positions_at(prepared: Prepared, ber: float, seed: int) -> dict[FieldKey, set[int]]:
    fault, images = Remembered(), range(len(prepared.data))
    strikes = Strikes(prepared.neurons, fault, ber=ber, seed=seed, images=images)
    prepared.forward.answers(prepared.data, images, strikes.visit)
    return fault.__dict__["seen"]


def test_flips_are_nested_across_rates(make_setup, network, digits) -> None:
    prepared = prepare(make_setup("fp16", targets=ONLY), network, part_of(digits, 0, 150))
    few, many = (positions_at(prepared, ber, 1) for ber in (1e-4, 1e-3))
    assert few.keys() == many.keys()
    assert len(few) == 3 * 3
    assert all(few[key] < many[key] for key in few)


@pytest.mark.parametrize("fault", ["bit_flip", "asymmetric", "burst"])
def test_faults_do_not_depend_on_the_batch_size(make_setup, network, digits, fault) -> None:
    def outcome(batch_size: int) -> Outcome:
        setup = replace(make_setup("q3_12", targets=BOTH), fault=FAULTS.make(fault))
        data = part_of(digits, 0, 600, batch_size)
        return run_trial(prepare(setup, network, data), Point("x", 1e-5, 2))

    found = [outcome(size) for size in (1, 64, 100, 256, 600)]
    assert found[0].flipped_bits > 0
    keyed = {(o.flipped_bits, o.flipped_words) for o in found}
    if fault == "bit_flip":  # the others look at words, which rounding may move
        keyed = {(o.flipped_bits, o.flipped_words, o.flips_digest) for o in found}
        assert len(keyed) == 1
    correct = [o.counts.n_correct for o in found]
    assert max(correct) - min(correct) <= 1


@pytest.mark.parametrize(("asked", "given"), [(1, 64), (64, 64), (100, 64), (256, 256), (600, 576)])
def test_batches_end_where_blocks_do(digits, asked, given) -> None:
    assert BLOCK == 64
    assert whole_blocks(part_of(digits, 0, 600, asked)).batch_size == given


def test_the_same_point_gives_the_same_outcome(make_setup, network, digits) -> None:
    prepared = prepare(make_setup("q3_12", targets=BOTH), network, digits)
    point = Point("x", 1e-4, 8)
    first = run_trial(prepared, point)
    run_trial(prepared, Point("x", 1e-3, 9))
    assert run_trial(prepared, point) == first
    assert run_trial(prepared, Point("x", 1e-4, 9)).flips_digest != first.flips_digest


def test_a_trial_without_faults_is_the_fault_free_one(make_setup, network, digits) -> None:
    prepared = prepare(make_setup("q3_12", targets=BOTH), network, digits)
    outcome = run_trial(prepared, Point("x", 0.0, 0))
    assert outcome.counts == prepared.counts
    assert (outcome.flipped_bits, outcome.counts.n_masked) == (0, 600)


def test_storing_fp32_without_faults_changes_nothing(make_setup, network, digits) -> None:
    data = whole_blocks(digits)
    plain = prepare(make_setup("fp32"), network, data).fault_free
    assert torch.equal(prepare(make_setup("fp32", targets=BOTH), network, data).fault_free, plain)


@pytest.mark.parametrize(
    ("targets", "exposed"),
    [
        (replace(ONLY, include=("conv*",)), {"conv1", "conv2"}),
        (replace(ONLY, exclude=("conv1",)), {"conv2", "linear"}),
        (replace(ONLY, include=("conv*",), exclude=("*2",)), {"conv1"}),
    ],
)
def test_names_of_modules_select_layers(make_setup, network, digits, targets, exposed) -> None:
    prepared = prepare(make_setup(targets=targets), network, digits)
    assert {site.module for site in prepared.neurons.places} == exposed
    assert prepared.exposed_bits == 32 * 600 * sum(LAYERS[name][1] for name in exposed)


def test_exempt_bits_of_activations_never_flip(make_setup, network, digits) -> None:
    targets = replace(ONLY, exempt_bits=("exponent", "sign"))
    prepared = prepare(make_setup("fp32", targets=targets), network, part_of(digits, 0, 100))
    assert prepared.exposed_bits == 23 * 100 * VALUES
    found = [p % 32 for places in positions_at(prepared, 1e-4, 0).values() for p in places]
    assert found
    assert max(found) < 23


def test_each_map_of_transient_weights_has_blocks_of_its_own(make_setup, network, digits) -> None:
    setup = replace(make_setup("fp32", targets=BOTH), lifetime=250)
    outcome = run_trial(prepare(setup, network, digits), Point("x", 1e-5, 9))
    flips = correct = 0
    for seed, images in fault_maps(9, len(digits), 250):
        data = part_of(digits, images.start, images.stop)
        told = run_trial(prepare(make_setup(targets=BOTH), network, data), Point("x", 1e-5, seed))
        flips, correct = flips + told.flipped_bits, correct + told.counts.n_correct
    assert (outcome.flipped_bits, outcome.counts.n_correct) == (flips, correct)


@pytest.mark.parametrize("policy", ["propagate", "zero", "clamp"])
def test_the_policy_reads_non_finite_activations(make_setup, network, digits, policy) -> None:
    """Every exponent bit but the lowest is 1 after a flip of half of them, so many are NaN."""
    data, split = part_of(digits, 0, 128), part_of(digits, 300, 600)
    targets = Targets(kinds=(), activations=True, include=("linear",), only_bits=("exponent",))
    setup = make_setup("fp16", nonfinite=policy, targets=targets)
    prepared = prepare(setup, network, data, split)
    images = range(128)
    strikes = Strikes(prepared.neurons, setup.fault, ber=0.5, seed=0, images=images)
    logits = prepared.forward.answers(data, images, strikes.visit)
    setup = replace(setup, nonfinite="propagate")
    plain = prepare(setup, network, data, split)
    strikes = Strikes(plain.neurons, setup.fault, ber=0.5, seed=0, images=images)
    raw = plain.forward.answers(data, images, strikes.visit)
    wrong = ~raw.isfinite()
    assert int(wrong.sum()) > 10
    largest = largest_outputs(prepared.network.module, split.pixels)["linear"]
    bound = {"zero": 0.0, "clamp": largest}.get(policy)
    if bound is None:
        assert torch.equal(raw.isfinite(), logits.isfinite())
    else:
        sign = torch.where(raw.isnan(), 0.0, raw.sign())
        assert torch.equal(logits, torch.where(wrong, sign * bound, raw))


def test_a_guard_sees_the_faults(make_setup, network, digits) -> None:
    """What guards do comes after the faults of the site."""
    prepared = prepare(make_setup("fp32", targets=ONLY), network, part_of(digits, 0, 64))
    seen: list[float] = []

    def guard(site, value: Tensor) -> Tensor:
        seen.append(float(value.abs().max()))
        return value.clamp(-1, 1)

    forward = prepared.forward._replace(visit=guard)
    strikes = Strikes(prepared.neurons, prepared.setup.fault, ber=1e-4, seed=0, images=range(64))
    logits = forward.answers(prepared.data, faulty=strikes.visit)
    assert max(seen) > 1e3
    assert float(logits.abs().max()) <= 1


class Turned(nn.Module):
    """A layer that gives images second, one that cuts them into windows, one without images."""

    def __init__(self) -> None:
        super().__init__()
        self.turned, self.cut, self.table = nn.Linear(8, 8), nn.Linear(16, 4), nn.Linear(2, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.turned(x[:, 0].transpose(0, 1)).transpose(0, 1)  # (images, 8, 8)
        x = self.cut(x.reshape(-1, 16)).reshape(len(x), -1)  # (images, 16)
        return x[:, :10] + self.table(torch.ones(1, 2))


@pytest.fixture
def turned() -> Network:
    torch.manual_seed(0)
    module = Turned()
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    return Network.load(module, state, torch.device("cpu"))


def test_images_are_found_wherever_they_stand(make_setup, turned, digits) -> None:
    targets = replace(ONLY, exclude=("table",))
    data = part_of(digits, 0, 100)
    prepared = prepare(make_setup("fp32", targets=targets), turned, data)
    places = {site.module: place for site, place in prepared.neurons.places.items()}
    assert {n: (p.axis, p.values) for n, p in places.items()} == {"turned": (1, 64), "cut": (0, 16)}
    outcome = run_trial(prepared, Point("x", 3e-4, 1))
    hit = images_hit(prepared, 3e-4, 1)
    assert 0 < len(hit) < 100
    assert outcome.counts.n_masked >= 100 - len(hit)
    assert images_changed(prepared, 3e-4, 1) <= hit


def images_hit(prepared, ber: float, seed: int) -> set[int]:
    places = {f"{s.label}#{s.place}": p for s, p in prepared.neurons.places.items()}
    hit = set()
    for key, positions in positions_at(prepared, ber, seed).items():
        site, block = key.tensor.rsplit("/block", 1)
        hit |= {64 * int(block) + p // 32 // places[site].values for p in positions}
    return hit


def images_changed(prepared, ber: float, seed: int) -> set[int]:
    images = range(len(prepared.data))
    strikes = Strikes(prepared.neurons, prepared.setup.fault, ber=ber, seed=seed, images=images)
    logits = prepared.forward.answers(prepared.data, images, strikes.visit)
    same = (logits.view(torch.int32) == prepared.fault_free.view(torch.int32)).all(1)
    return set(torch.nonzero(~same).flatten().tolist())


def test_an_output_without_images_is_refused(make_setup, turned, digits) -> None:
    with pytest.raises(ValueError, match=r"table:linear: .*no image writes it; targets.exclude"):
        prepare(make_setup(targets=ONLY), turned, digits)


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        ({"dtype": "int8"}, "activations learn their range from a profile split"),
        ({"fault": FAULTS.make("single_flip")}, "single_flip chooses among all bits at once"),
        ({"dtype": FORMATS.make("int8", {"per": "channel"})}, "scales of its own for parts"),
        ({"dtype": FORMATS.make("mxfp4")}, "scales of its own for parts"),
        ({"targets": replace(ONLY, include=("nix",))}, "no layer of digits_cnn is exposed by"),
        ({"targets": replace(BOTH, include=("conv1",))}, "no parameter of digits_cnn is exposed"),
    ],
)
def test_what_has_no_meaning_is_refused(make_setup, network, digits, setup, told) -> None:
    changed = dict(setup)
    if changed.get("dtype") == "int8":
        changed["dtype"] = FORMATS.make("int8")
    with pytest.raises(ValueError, match=told):
        prepare(replace(make_setup(targets=ONLY), **changed), network, digits)


def test_gradients_pass_through_rounding(make_setup, network, digits) -> None:
    split = part_of(digits, 500, 600)
    found = prepare(make_setup("fp16"), network, digits, split).subject.gradients({})
    rounded = prepare(make_setup("fp16", targets=BOTH), network, digits, split).subject
    for name, gradient in rounded.gradients({}).items():
        alike = torch.cosine_similarity(gradient.flatten(), found[name].flatten(), dim=0)
        assert float(alike) > 0.99


def test_a_profile_is_needed_by_fitted_scales_and_bounds(make_setup) -> None:
    setup = replace(make_setup(targets=ONLY), profile=Profile(10))
    assert setup.needs_profile is None
    assert replace(setup, dtype=FORMATS.make("int8")).needs_profile is not None
    assert replace(setup, nonfinite="clamp").needs_profile is not None
    assert replace(setup, nonfinite="clamp", targets=Targets()).needs_profile is None


def test_calibration_does_not_look_at_judged_images(make_setup, network, digits) -> None:
    split, setup = part_of(digits, 500, 600), make_setup("int8", targets=ONLY)
    forward, storage = Forward(network.module), Storage(setup.dtype)
    network.reset({})
    places = [
        neurons_of(setup, storage, forward, data, split).places
        for data in (part_of(digits, 0, 10), part_of(digits, 10, 400))
    ]
    assert [str(place) for place in places[0].values()] == [
        str(place) for place in places[1].values()
    ]

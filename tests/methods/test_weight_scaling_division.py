"""Dividing at the logits or in BatchNorm answers as dividing each weight, fault by fault."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from campaign.faults.bitflip import BitFlip
from campaign.formats import FORMATS
from campaign.methods import METHODS, Method
from campaign.methods.weight_scaling import WeightScaling
from campaign.sources import DATASETS, MODELS, Preprocess
from campaign.sources.networks import build_network
from campaign.spec.grid import Setup, Targets
from campaign.trial.evaluate import TestSet
from campaign.trial.memory import choose
from campaign.trial.setup import Network, Prepared, prepare
from campaign.trial.subject import StoredSubject


def scaling(divide: str, **options: Any) -> Method:
    return METHODS.make("weight_scaling", {"divide": divide, "t": 2.0, **options})


def small_vgg() -> nn.Module:
    """Four convolutions with BatchNorm and two linear layers."""
    parts: list[nn.Module] = []
    for before, after in ((3, 16), (16, 24), (24, 24), (24, 32)):
        parts += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        parts += [nn.MaxPool2d(2)]
    head = [nn.Linear(128, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10)]
    return nn.Sequential(*parts, nn.Flatten(), *head)


def network(built: nn.Module, *, fold: bool = False) -> Network:
    """With random statistics of every BatchNorm, and random biases."""
    generator = torch.Generator().manual_seed(4)
    state = {name: value.clone() for name, value in built.state_dict().items()}
    for name, value in state.items():
        leaf = name.rpartition(".")[2]
        if leaf == "running_var" or (leaf == "weight" and value.dim() == 1):
            value.uniform_(0.5, 1.5, generator=generator)
        elif leaf in ("running_mean", "bias"):
            value.uniform_(-0.2, 0.2, generator=generator)
        elif value.dim() > 1:
            value.normal_(0, math.sqrt(2 / value[0].numel()), generator=generator)
    arrays = {name: value.numpy() for name, value in state.items()}
    return Network.load(built.eval(), arrays, torch.device("cpu"), fold=fold)


def images(count: int = 8, side: int = 32) -> TestSet:
    generator = torch.Generator().manual_seed(9)
    pixels = torch.randn(count, 3, side, side, generator=generator)
    labels = torch.randint(0, 10, (count,), generator=generator)
    return TestSet(pixels, labels, Preprocess(), count)


def prepared(
    net: Network, *stack: Method, dtype: str = "fp32", data: TestSet | None = None, **targets: Any
) -> Prepared:
    model, dataset, fault = MODELS.make("digits_cnn"), DATASETS.make("digits"), BitFlip()
    setup = Setup(
        "id",
        "test",
        "net",
        model,
        "data",
        dataset,
        FORMATS.make(dtype),
        stack,
        2.0,
        "zero",
        fault.label,
        fault,
        Targets(**targets),
    )
    return prepare(setup, net, data or images())


def answers(ready: Prepared, ber: float, seed: int) -> Tensor:
    """Logits under the fault map of a seed."""
    flips = choose(ready.stored.values(), BitFlip(), ready.storage, ber=ber, seed=seed)
    assert sum(positions.size for positions in flips.values()) > 0
    return StoredSubject(ready.forward, ready.stored, ready.storage, ready.data).logits(flips)


def check_same(
    net: Network,
    divide: str,
    ber: float,
    *,
    dtype: str,
    exclude: tuple[str, ...] = (),
    **options: Any,
) -> None:
    """The same logits under the same flips, up to the rounding of float32."""
    exempt = ("exponent_msb",) if dtype == "fp32" else ()
    targets, seeds = {"exempt_bits": exempt, "exclude": exclude}, range(3)
    plain = prepared(net, scaling("layer", **options), dtype=dtype, **targets)
    clean, counts = plain.fault_free, plain.counts
    expected = [answers(plain, ber, seed) for seed in seeds]
    other = prepared(net, scaling(divide, **options), dtype=dtype, **targets)
    assert other.counts.n_correct == counts.n_correct
    check_close(other.fault_free, clean)
    assert not torch.equal(expected[0], clean)
    for seed in seeds:
        check_close(answers(other, ber, seed), expected[seed])


def check_close(found: Tensor, expected: Tensor) -> None:
    assert bool(expected.isfinite().all())
    largest = expected.abs().amax(1, keepdim=True)
    assert bool(((found - expected).abs() <= 1e-4 * largest).all())
    assert torch.equal(found.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("power_of_two", [False, True])
@pytest.mark.parametrize(("dtype", "t"), [("fp32", 1.0), ("fp32", 2.0), ("q2_5", 3.97)])
def test_dividing_at_the_logits_answers_as_dividing_each_weight(
    dtype: str, t: float, power_of_two: bool
) -> None:
    net = network(small_vgg(), fold=True)
    check_same(net, "logits", 1e-3, dtype=dtype, t=t, power_of_two=power_of_two)


def test_powers_of_two_at_the_logits_answer_to_the_bit() -> None:
    net = network(small_vgg(), fold=True)
    options = {"power_of_two": True, "t": 1.0}
    plain = prepared(net, scaling("layer", **options)).fault_free
    assert torch.equal(prepared(net, scaling("logits", **options)).fault_free, plain)


def check_batchnorm(dtype: str, **options: Any) -> None:
    net = network(build_network("cifar_resnet20", 10))
    check_same(net, "batchnorm", 1e-4, dtype=dtype, **options)


@pytest.mark.parametrize(
    ("dtype", "t"), [("fp32", 2.0), pytest.param("q2_5", 3.97, marks=pytest.mark.slow)]
)
def test_batchnorm_takes_the_constants_in(dtype: str, t: float) -> None:
    check_batchnorm(dtype, t=t)


@pytest.mark.slow
def test_batchnorm_takes_one_constant_per_channel_in() -> None:
    check_batchnorm("q2_5", t=3.97, per="channel", exclude=("linear.weight",))


def with_weak_channel(weight: float, norm: float) -> Network:
    """Channel 2 of the convolution and its BatchNorm made that small."""
    parts = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 10)]
    built = nn.Sequential(*parts)
    made = network(built)
    state = {**made.trained, **made.buffers}
    state["0.weight"][2] *= weight / state["0.weight"][2].abs().max()
    state["1.weight"][2] = norm
    arrays = {name: value.numpy() for name, value in state.items()}
    return Network.load(built, arrays, torch.device("cpu"))


def test_a_channel_is_judged_by_itself_when_batchnorm_takes_its_constant_in() -> None:
    options = {"t": 2.0, "per": "channel"}
    for weight, norm in ((1e-20, 1.0), (1e-30, 1e-3), (0.1, 1e-40), (0.1, 0.0)):
        net = with_weak_channel(weight, norm)
        expected = prepared(net, exclude=("4.weight",)).fault_free
        ready = prepared(net, scaling("batchnorm", **options), exclude=("4.weight",))
        check_close(ready.fault_free, expected)
    net = with_weak_channel(2.0**-125, 1e-3)
    told = r"^1\.weight: would be 1\.18e-41 in channel 2, beyond float32"
    with pytest.raises(ValueError, match=told):
        prepared(net, scaling("batchnorm", **options), exclude=("4.weight",))


@pytest.mark.slow
def test_batchnorm_takes_large_constants_in() -> None:
    net, data = network(build_network("cifar_resnet20", 10)), images(4)
    expected = prepared(net, scaling("layer", t=2.0**100), data=data).fault_free
    check_close(prepared(net, scaling("batchnorm", t=2.0**100), data=data).fault_free, expected)


def test_biases_are_multiplied_by_the_constants_up_to_their_layer() -> None:
    net = network(small_vgg(), fold=True)
    ready = prepared(net, scaling("logits"))
    total = 1.0
    for name, held in ready.stored.items():
        total *= 2.0 / float(net.trained[name].double().abs().max())
        bias = name.replace("weight", "bias")
        expected = (net.trained[bias].double().numpy() * total).astype("float32")
        live = ready.network.module.get_parameter(bias)
        assert float((live.double() - torch.tensor(expected)).abs().max()) <= 1e-6 * total
        assert torch.equal(ready.network.module.get_parameter(name), held.clean)
    assert ready.forward.logits_divisor == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("divide", ["logits", "batchnorm"])
def test_the_next_setup_finds_the_network_as_trained(divide: str) -> None:
    net = network(small_vgg(), fold=divide == "logits")
    kinds = {"exclude": ("1[79].weight",)} if divide == "batchnorm" else {}
    before = prepared(net, METHODS.make("none")).fault_free
    held = {name: value.clone() for name, value in net.module.state_dict().items()}
    prepared(net, scaling(divide), **kinds)
    assert any(not torch.equal(v, held[n]) for n, v in net.module.state_dict().items())
    assert torch.equal(prepared(net, METHODS.make("none")).fault_free, before)
    assert all(torch.equal(v, held[n]) for n, v in net.module.state_dict().items())


def test_layers_that_are_not_exposed_are_not_scaled() -> None:
    net = network(small_vgg(), fold=True)
    ready = prepared(net, scaling("logits"), include=("4.weight",))
    c = 2.0 / float(net.trained["4.weight"].double().abs().max())
    assert ready.forward.logits_divisor == c
    assert torch.equal(ready.network.module.get_parameter("0.bias"), net.trained["0.bias"])


def resnet20() -> nn.Module:
    return build_network("cifar_resnet20", 10)


def resnet18() -> nn.Module:
    return build_network("torchvision/resnet18", 10)


def mobilenet_v2() -> nn.Module:
    return models.mobilenet_v2(width_mult=0.25, num_classes=10)


def layer_norm() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.LayerNorm(8), nn.Linear(8, 10))


@pytest.mark.parametrize(
    ("build", "fold", "options", "message"),
    [
        (resnet18, True, {}, r"^layer1\.0:add: branches that are "),
        (resnet20, True, {}, r"^layer1\.0:add: branches that are .* meet here"),
        (resnet20, False, {}, "^bn1: BatchNorm .* set fold_batchnorm: true"),
        (mobilenet_v2, True, {}, r"^features\.0\.2: ReLU6 does not pass"),
        (layer_norm, False, {}, r"^2: LayerNorm does not pass a scale"),
        (small_vgg, True, {"t": 2.0**120}, r"^4: its output would be .*e\+7"),
    ],
)
def test_networks_that_pass_no_scale_on_are_refused_by_name(
    build: Callable[[], nn.Module], fold: bool, options: dict[str, float], message: str
) -> None:
    net = network(build(), fold=fold)
    with pytest.raises(ValueError, match=message):
        prepared(net, scaling("logits", **options))


def test_activations_that_overflow_without_a_fault_are_refused() -> None:
    net = network(nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)))
    data = images(2)
    loud = TestSet(data.pixels * 1e3, data.labels, data.preprocess, 2)
    with pytest.raises(ValueError, match="overflow without any fault"):
        prepared(net, scaling("logits", t=2.0**123), data=loud)


@pytest.mark.parametrize(("divide", "t"), [("logits", 64.0), ("batchnorm", 4096.0)])
def test_scaled_activations_that_their_format_would_cut_off_are_refused(
    divide: str, t: float
) -> None:
    parts = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 10)]
    net = network(nn.Sequential(*parts), fold=divide == "logits")
    for able in (scaling("layer", t=t), scaling(divide, t=0.5)):
        ready = prepared(net, able, dtype="q7_8", activations=True)
        assert bool(ready.fault_free.isfinite().all())
    with pytest.raises(ValueError, match=r"^0:conv2d: undivided, its outputs reach .* beyond q7_8"):
        prepared(net, scaling(divide, t=t), dtype="q7_8", activations=True)


@pytest.mark.parametrize(
    ("built", "targets", "options", "message"),
    [
        (small_vgg, {}, {}, "^17: no BatchNorm follows this layer directly"),
        (
            resnet20,
            {},
            {"per": "channel"},
            "^linear: the logits",
        ),
        (
            resnet20,
            {},
            {"t": 2.0**127},
            r"^bn1\.weight: would be 4.44e-39 in channel 5, beyond float32",
        ),
        (
            lambda: nn.Sequential(
                nn.Conv2d(3, 4, 3),
                nn.BatchNorm2d(4, affine=False),
                nn.Flatten(),
                nn.Linear(3600, 10),
            ),
            {},
            {},
            "^1: this BatchNorm has no weight",
        ),
    ],
)
def test_layers_that_no_batchnorm_follows_are_refused_by_name(
    built: Any, targets: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prepared(network(built()), scaling("batchnorm", **options), **targets)


def test_one_constant_per_channel_cannot_be_divided_at_the_logits() -> None:
    with pytest.raises(ValueError, match="divides by one constant; it needs per: layer"):
        WeightScaling(per="channel", divide="logits")


@pytest.mark.parametrize("divide", ["logits", "batchnorm"])
def test_only_weights_may_be_exposed_and_nothing_else_may_read_them_undivided(divide: str) -> None:
    method = scaling(divide)
    for kind in ("biases", "norms", "other"):
        reason = method.misfit((), ("weights", kind))
        assert reason is not None
        assert kind in reason
    for name in ("saf", "range_clamp"):
        reason = method.misfit((METHODS.make(name),), ("weights",))
        assert reason is not None
        assert name in reason
    assert method.misfit((METHODS.make("secded"),), ("weights",)) is None
    relu6 = METHODS.make("clipped_relu")
    reasons = {method.misfit((relu6,), ("weights",)), relu6.misfit((method,), ("weights",))}
    assert len(reasons) == 1
    assert (None in reasons) == (divide == "batchnorm")
    every = ("weights", "biases", "norms", "other")
    assert scaling("layer").misfit((METHODS.make("saf"),), every) is None


def test_a_clamp_behind_it_works_on_undivided_weights() -> None:
    net = network(small_vgg(), fold=True)
    clamp = METHODS.make("range_clamp")
    plain = prepared(net, scaling("layer", power_of_two=True), clamp)
    expected = answers(plain, 1e-3, 0)
    other = prepared(net, scaling("logits", power_of_two=True), clamp)
    check_close(answers(other, 1e-3, 0), expected)

"""Arithmetic of the forward pass: what is rounded, and where it is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from campaign.sources import DATASETS, MODELS
from campaign.spec.grid import Point
from campaign.trial.arithmetic import arithmetic
from campaign.trial.forward import Forward
from campaign.trial.worker import TrialWork, data_asset

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
WORK = TrialWork(code_version="test", use_gpu=False)


@pytest.mark.parametrize("compute", HALVES)
def test_a_product_takes_and_gives_numbers_of_16_bits(compute) -> None:
    module, images = (
        nn.Linear(40, 5),
        torch.randn(7, 40, generator=torch.Generator().manual_seed(1)),
    )
    found = Forward(module, compute=compute).batch(images)
    half = HALVES[compute]
    given = [value.to(half).double() for value in (images, module.weight, module.bias)]
    exact = given[0] @ given[1].T + given[2]
    assert found.dtype == torch.float32
    assert torch.equal(found, found.to(half).float())
    torch.testing.assert_close(found.double(), exact, rtol=2**-7, atol=2**-7)
    assert not torch.equal(found, Forward(module).batch(images))


def test_weights_stay_as_they_are(network, digits) -> None:
    before = {name: held.clone() for name, held in network.module.named_parameters()}
    Forward(network.module, compute="bf16").answers(digits)
    for name, parameter in network.module.named_parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, before[name])


def test_a_change_of_a_weight_is_seen_by_the_next_pass(network, digits) -> None:
    forward = Forward(network.module, compute="bf16")
    first = forward.answers(digits)
    weight = dict(network.module.named_parameters())["linear.weight"]
    try:
        weight.mul_(2)
        assert not torch.equal(forward.answers(digits), first)
    finally:
        weight.div_(2)
    assert torch.equal(forward.answers(digits), first)


def test_tf32_switches_are_put_back() -> None:
    switches = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [switch.allow_tf32 for switch in switches]
    with arithmetic("tf32", "cuda"):
        assert [switch.allow_tf32 for switch in switches] == [True, True]
    assert [switch.allow_tf32 for switch in switches] == before


def test_tf32_is_refused_in_a_line_on_a_cpu(make_setup) -> None:
    row, _ = trials(replace(make_setup(), compute="tf32"))
    assert row.status == "error"
    assert row.error == (
        "evaluation.compute: tf32 is an arithmetic of CUDA devices, this worker has cpu; take fp32 "
        "or bf16"
    )


def trials(setup):  # noqa: ANN201
    model = MODELS.make("digits_cnn")
    assets = {
        "model:digits_cnn": model.state(),
        data_asset(model.preprocess): DATASETS.make("digits").images(model.preprocess),
    }
    points = [Point("clean", 0.0, 0), Point("struck", 1e-4, 1)]
    return list(WORK.open(assets.__getitem__).trials(setup, points, 1))


@pytest.mark.parametrize("compute", HALVES)
def test_rows_say_which_arithmetic_and_flips_do_not_depend_on_it(make_setup, compute) -> None:
    plain, half = trials(make_setup()), trials(replace(make_setup(), compute=compute))
    assert half[0].compute.startswith(f"{compute} channels_last batch=300 ")
    assert [row.flips_digest for row in half] == [row.flips_digest for row in plain]
    assert abs(half[0].n_correct - plain[0].n_correct) <= 6

"""Fault-aware training, against steps computed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from campaign.faults import FAULTS, Exposed, FieldKey
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.methods.stored_training import step_seed
from campaign.networks.raw import raw_parameters
from campaign.registry import OptionError
from tests.methods.training_steps import (
    INT8,
    expected_gradients,
    make_batch,
    make_context,
    make_network,
    read_int8,
)

CROSS_ENTROPY = nn.CrossEntropyLoss()
NAMES = ("0.weight", "4.weight")


def flips_of(fault: str, options: dict[str, Any], ber: float, seed: int) -> Mapping[str, Any]:
    """What a fault model flips in the weights of a fresh network, by parameter."""
    held = raw_parameters(make_network())
    values = {name: held[name].detach() for name in NAMES}
    memory = {
        FieldKey(name, "payload"): Exposed(INT8.encode(value, INT8.calibrate(value)))
        for name, value in values.items()
    }
    chosen = FAULTS.make(fault, options).sample_all(memory, ber, seed)
    return {name: chosen.get(FieldKey(name, "payload"), np.empty(0, int)) for name in NAMES}


def bits_changed(module: nn.Module) -> int:
    """In how many bits the words that are read now differ from those of a fresh network."""
    total = 0
    for place, name in ((0, "0.weight"), (4, "4.weight")):
        clean = read_int8(raw_parameters(make_network())[name])
        scale = np.float32(raw_parameters(make_network())[name].detach().abs().max() / 127)
        codes = [
            np.rint(value.detach().numpy() / scale).astype(np.int8).view(np.uint8)
            for value in (clean, module[place].weight)  # type: ignore[index]
        ]
        total += int(np.unpackbits(codes[0] ^ codes[1]).sum())
    return total


@pytest.mark.parametrize(
    "options", [{"flips": 7}, {"ber": [0.02, 0.0, 0.3], "clamp": 0.01}], ids=str
)
def test_each_step_trains_on_what_is_read_under_new_faults(options: dict[str, Any]) -> None:
    method = METHODS.make("fault_aware", options)
    module, context, fitting = make_network(), make_context(), method.fitting()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    fitting.prepare(module, context)
    counts: list[int] = []

    def forward(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        counts.append(bits_changed(network))
        logits: torch.Tensor = network(inputs)
        return logits

    context.forward = forward
    draws = torch.Generator().manual_seed(0)
    clamp, losses = options.get("clamp", 9.0), []
    for step in range(12):
        module.zero_grad()
        context.step = step
        told = fitting.step(module, make_batch(), CROSS_ENTROPY, context)
        seed = step_seed(context)
        if "flips" in options:
            flips = flips_of("exact_flips", {"count": 7}, 1.0, seed)
        else:
            rate = options["ber"][int(torch.randint(3, (), generator=draws))]
            flips = flips_of("bit_flip", {}, rate, seed)
        assert counts[-1] == sum(map(len, flips.values()))
        loss, expected = expected_gradients(state, flips)
        assert float(told) == pytest.approx(loss, rel=1e-6)
        losses.append(loss)
        for name, parameter in raw_parameters(module).items():
            assert parameter.grad is not None
            found = torch.from_numpy(np.clip(expected[name].numpy(), -clamp, clamp))
            torch.testing.assert_close(parameter.grad, found, rtol=1e-5, atol=1e-7)
    if "flips" in options:
        assert set(counts) == {7}
        assert len(set(losses)) > 10
    else:
        bits = 8 * sum(raw_parameters(module)[name].numel() for name in NAMES)
        shares = {round(count / bits, 1) for count in counts}
        assert 0 in counts
        assert 0.3 in shares
        assert any(0 < count < 0.1 * bits for count in counts)
    assert context.metrics["faulty_steps"] == 12
    assert context.metrics["faulty_loss"] == pytest.approx(np.mean(losses), rel=1e-6)


def test_a_step_that_is_no_number_is_taken_without_faults() -> None:
    module, context = make_network(), make_context("fp32")
    fitting = METHODS.make("fault_aware", {"ber": [0.3]}).fitting()
    fitting.prepare(module, context)
    loss = fitting.step(module, make_batch(), CROSS_ENTROPY, context)
    plain = make_network()
    expected = CROSS_ENTROPY(plain(make_batch().inputs), make_batch().labels)
    expected.backward()
    assert torch.equal(loss, expected.detach())
    for name, parameter in plain.named_parameters():
        found = raw_parameters(module)[name].grad
        assert found is not None
        assert parameter.grad is not None
        assert torch.equal(found, parameter.grad)
    for buffer, other in zip(module.buffers(), plain.buffers(), strict=True):
        assert torch.equal(buffer, other)
    assert "faulty_steps" not in context.metrics


def test_scales_that_are_stored_words_are_struck_too() -> None:
    """Every bit flips: the words of a block as well as the scale that its values share."""
    module, context = make_network(), make_context("mxint8")
    fmt = FORMATS.make("mxint8")
    weight = raw_parameters(module)["4.weight"].detach()
    fitting = METHODS.make("fault_aware", {"ber": [1.0]}).fitting()
    fitting.prepare(module, context)
    seen: list[torch.Tensor] = []

    def forward(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        seen.append(network[4].weight.detach())  # type: ignore[index]
        logits: torch.Tensor = network(inputs)
        return logits

    context.forward = forward
    fitting.step(module, make_batch(), CROSS_ENTROPY, context)
    scale = fmt.calibrate(weight)
    assert scale is not None
    words = fmt.encode(weight, scale)
    inverted = type(words)(words.data ^ 255, words.width)
    assert torch.equal(seen[0], fmt.decode(inverted, scale ^ 255))


def test_options_that_cannot_be_are_refused() -> None:
    for options, text in (
        ({"flips": 3, "ber": [0.1]}, "take one of them"),
        ({"flips": 0}, "flips: got 0"),
        ({"ber": []}, "ber"),
        ({"ber": [1.5]}, "ber"),
    ):
        with pytest.raises(OptionError, match=text):
            METHODS.make("fault_aware", options)
    fitting = METHODS.make("fault_aware", {"flips": 1000}).fitting()
    with pytest.raises(ValueError, match=r"flips: got 1000; allowed: up to the 672 bits .* int8"):
        fitting.prepare(make_network(), make_context())

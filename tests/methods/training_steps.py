"""Small networks that train step by step, and what they read, by numpy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from campaign.formats import FORMATS
from campaign.methods.fitting import Batch, Context

INT8 = FORMATS.make("int8")
Flips = Mapping[str, np.ndarray]
"""Positions of flipped bits by parameter."""


def make_network() -> nn.Module:
    """Convolution, BatchNorm, linear layer; 4 x 4 images, three classes."""
    torch.manual_seed(5)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
    norm = module[1]
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.05, 0.97, 1.3, 0.4]))
        norm.bias.copy_(torch.tensor([0.02, -0.3, 0.05, 0.0]))
    return module.train()


def make_batch() -> Batch:
    generator = torch.Generator().manual_seed(6)
    labels = torch.randint(3, (24,), generator=generator)
    return Batch(torch.randn(24, 1, 4, 4, generator=generator), labels)


def make_context(dtype: str = "int8") -> Context:
    return Context(
        seed=3,
        fmt=FORMATS.make(dtype),
        device=torch.device("cpu"),
        steps=10,
        forward=lambda module, inputs: module(inputs),
        sample=lambda count: make_batch(),
        generator=torch.Generator().manual_seed(0),
    )


def read_int8(weight: Tensor, flips: np.ndarray | None = None) -> Tensor:
    """What symmetric int8 reads of a weight, with flipped bits."""
    raw = weight.detach().numpy()
    scale = np.float32(np.abs(raw).max() / np.float32(127))
    words = np.rint(raw / scale).astype(np.int8).view(np.uint8).reshape(-1)
    for position in [] if flips is None else flips:
        words[position // 8] ^= np.uint8(1 << (position % 8))
    return torch.from_numpy((words.view(np.int8) * scale).astype(np.float32).reshape(raw.shape))


def expected_gradients(
    state: Mapping[str, Tensor], stored: Mapping[str, np.ndarray | None]
) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of a fresh network that holds what is read of the `stored` parameters."""
    module = make_network()
    module.load_state_dict(state)
    for name, parameter in module.named_parameters():
        if name in stored:
            parameter.data = read_int8(parameter, stored[name])
    batch = make_batch()
    loss = nn.functional.cross_entropy(module(batch.inputs), batch.labels)
    loss.backward()  # type: ignore[no-untyped-call]
    found = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return float(loss.detach()), found

"""Networks to attack: the digits network, split into images to learn from and to be judged on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from campaign.faults import FAULTS, FaultModel
from campaign.formats import FORMATS
from campaign.methods import METHODS, Method
from campaign.sources import DATASETS, MODELS
from campaign.spec.grid import Point, Setup, Targets
from campaign.trial.evaluate import TestSet
from campaign.trial.setup import Network, Prepared, prepare

LEARN = 100


@cache
def trained() -> Mapping[str, NDArray[np.generic]]:
    return MODELS.make("digits_cnn").state()


def network() -> Network:
    """A network of its own for each setup: the live one holds the weights of the last."""
    return Network.load(MODELS.make("digits_cnn").build(), trained(), torch.device("cpu"))


def tiny() -> Network:
    """42 weights in two layers, of which one is above 1."""
    module = nn.Sequential(
        nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 10)
    )
    generator = torch.Generator().manual_seed(3)
    state = {n: torch.randn(p.shape, generator=generator) for n, p in module.named_parameters()}
    scaled = {n: (value / value.abs().max() * 1.5).numpy() for n, value in state.items()}
    return Network.load(module, scaled, torch.device("cpu"))


@cache
def images(first: int, last: int) -> TestSet:
    how = MODELS.make("digits_cnn").preprocess
    held = DATASETS.make("digits").images(how)
    part = type(held)(held.pixels[first:last], held.labels[first:last])
    return TestSet.load(part, how, chosen=None, batch_size=200, device=torch.device("cpu"))


def plain(seed: int = 0) -> Point:
    """A point at which attacks act."""
    return Point("x", 1e-3, seed)


def attacked(
    dtype: str,
    *stack: Method,
    fault: FaultModel | None = None,
    exempt: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
    split: bool = True,
    kinds: tuple[str, ...] = ("weights",),
    over: Network | None = None,
    **options: str,
) -> Prepared:
    """A prepared setup whose `subject` has 100 images; trials are judged on the other 500.

    `options` are those of the number format.
    """
    model, data = MODELS.make("digits_cnn"), DATASETS.make("digits")
    fault = fault or FAULTS.make("bit_flip")
    setup = Setup(
        setup_id="attacked",
        campaign="test",
        model_name=model.label,
        model=model,
        dataset_name=data.label,
        dataset=data,
        dtype=FORMATS.make(dtype, options),
        stack=stack,
        t=None,
        nonfinite="propagate",
        fault_name=fault.label,
        fault=fault,
        targets=Targets(kinds=kinds, exempt_bits=exempt, only_bits=only),
    )
    learnt = images(0, LEARN) if split else None
    return prepare(setup, over or network(), images(LEARN, 600), learnt)


def scaling(t: float) -> Method:
    """Weight scaling that is exact in floats."""
    return METHODS.make("weight_scaling", {"t": t, "power_of_two": True})

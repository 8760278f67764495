"""What both sides of a comparison compute: networks, images, fault rates."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.sources import DATASETS, Images, ModelSource, Preprocess
from campaign.sources.digits_cnn import DigitsCnnModel
from campaign.sources.networks import build_network
from campaign.spec.grid import Point, Setup, Targets
from campaign.trial.worker import data_asset, model_asset

RESNET20 = "weights/cifar10_resnet20.safetensors"


class Kind(NamedTuple):
    """A network and its images."""

    network: str
    pixels: tuple[int, int, int]
    images: int
    per_turn: int
    """Trials of a turn at one rate."""


CASES = {
    "digits_cnn": Kind("digits_cnn", (1, 8, 8), 600, 20),
    "cifar_resnet20": Kind("cifar_resnet20", (3, 32, 32), 1000, 2),
    "resnet18": Kind("torchvision/resnet18", (3, 224, 224), 32, 2),
}


class Grid(NamedTuple):
    """Rates as a campaign has them, of one setup."""

    case: str
    method: str | None
    rates: tuple[float, ...]


def _rates(low: int, high: int, per_decade: int) -> tuple[float, ...]:
    steps = np.arange((high - low) * per_decade + 1) / per_decade + low
    return tuple(float(rate) for rate in 10.0**steps)


GRIDS = {
    "digits": Grid("digits_cnn", None, _rates(-6, -2, 2)),  # that of specs/quickstart.yaml
    "low": Grid("cifar_resnet20", None, _rates(-9, -6, 2)),
    "secded": Grid("cifar_resnet20", "secded", (1e-6,)),
}


@dataclass(frozen=True)
class Given(ModelSource):
    """A network with the weights that it is built with, or trained ones where there are some."""

    name: ClassVar[str] = "given"
    architecture: str = ""

    @property
    def label(self) -> str:
        return self.architecture

    @property
    def preprocess(self) -> Preprocess:
        return Preprocess()

    def digest(self) -> str:
        return self.architecture

    def state(self) -> dict[str, NDArray[np.generic]]:
        if self.architecture == "digits_cnn":
            return dict(DigitsCnnModel().state())
        torch.manual_seed(0)
        module = build_network(self.architecture)
        held = Path(os.environ.get("CAMPAIGN_DATA", ".")) / RESNET20
        if self.architecture == "cifar_resnet20" and held.exists():
            from safetensors.torch import load_file

            module.load_state_dict(load_file(held))
        return {name: value.numpy() for name, value in module.state_dict().items()}

    def build(self) -> nn.Module:
        return build_network(self.architecture)


@dataclass(frozen=True)
class Case:
    """What both sides compute."""

    setup: Setup
    state: dict[str, NDArray[np.generic]]
    images: Images
    per_turn: int
    rates: tuple[float, ...]

    @property
    def assets(self) -> dict[str, object]:
        how = self.setup.model.preprocess
        return {model_asset(self.setup): self.state, data_asset(how): self.images}

    @property
    def ber(self) -> float:
        """The rate of the loop, whose time does not depend on it."""
        return self.rates[0]

    def points(self, first: int, seeds: int) -> list[Point]:
        """Rate by rate, as campaigns have them."""
        return [
            Point(f"{rate:g}-{seed}", rate, seed)
            for rate in self.rates
            for seed in range(first, first + seeds)
        ]

    def batches(self, first: int, seeds: int, size: int) -> list[Sequence[Point]]:
        """The same, as workers get them."""
        points = self.points(first, seeds)
        return [points[start : start + size] for start in range(0, len(points), size)]


def make_case(name: str, arguments: argparse.Namespace) -> Case:
    """The case or grid of this name."""
    grid = GRIDS.get(name, Grid(name, None, (arguments.ber,)))
    kind = CASES[grid.case]
    model, fault = Given(kind.network), FAULTS.make("bit_flip")
    count = arguments.images or kind.images
    pixels = np.random.default_rng(0).integers(0, 256, (count, *kind.pixels))
    images = Images(pixels.astype(np.uint8), np.arange(count, dtype=np.int64) % 10)
    setup = Setup(
        setup_id=name,
        campaign="benchmark",
        model_name=name,
        model=model,
        dataset_name="random",
        dataset=DATASETS.make("digits"),
        dtype=FORMATS.make("fp32"),
        stack=() if grid.method is None else (METHODS.make(grid.method),),
        t=None,
        nonfinite="propagate",
        fault_name=fault.label,
        fault=fault,
        targets=Targets(),
        compute=arguments.compute,
    )
    return Case(setup, model.state(), images, kind.per_turn, grid.rates)

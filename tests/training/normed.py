"""A training of a network with BatchNorms: ResNet-8 on a few images of noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from campaign.sources import Images, Preprocess
from campaign.training import FitJob
from campaign.training.job import Materials
from tests.training.conftest import make_job

NORMED = "tiny_resnet8"


@dataclass(frozen=True)
class Untrained:
    """ResNet-8 as it is built."""

    preprocess: Any

    def build(self) -> Any:
        from campaign.sources.networks import build_network

        return build_network(NORMED)


def resnet_job(workers: int) -> tuple[FitJob, Materials]:
    """A training of 3 steps with 8 images each, from scratch."""
    held = make_job(
        {"retrained": {"start": "scratch"}},
        workers=workers,
        epochs=1,
        batch_size=8,
        validation_images=6,
        optimizer={"sgd": {"lr": 0.01}},
    )
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (30, 3, 32, 32), dtype=np.uint8)
    labels = draw.integers(0, 10, 30)
    job = replace(held, model=Untrained(Preprocess(divisor=255.0)))
    return job, Materials({}, Images(pixels, labels))

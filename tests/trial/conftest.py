"""The digits network and test set, loaded once."""

from __future__ import annotations

import pytest
import torch

from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.sources import DATASETS, MODELS
from campaign.spec.grid import Point, Setup, Targets
from campaign.trial.evaluate import TestSet
from campaign.trial.setup import Network


@pytest.fixture(scope="session")
def network() -> Network:
    model = MODELS.make("digits_cnn")
    return Network.load(model.build(), model.state(), torch.device("cpu"))


@pytest.fixture(scope="session")
def digits() -> TestSet:
    how = MODELS.make("digits_cnn").preprocess
    images = DATASETS.make("digits").images(how)
    return TestSet.load(images, how, chosen=None, batch_size=200, device=torch.device("cpu"))


class MakeSetup:
    """Setups of the digits network from names."""

    def __call__(
        self,
        dtype: str = "fp32",
        *methods: str,
        t: float | None = None,
        nonfinite: str = "zero",
        targets: Targets | None = None,
        subset: int | None = None,
    ) -> Setup:
        stack = tuple(
            METHODS.make(name, {"t": t} if METHODS.find(name)[0].takes_t else {})
            for name in methods
        )
        model, data = MODELS.make("digits_cnn"), DATASETS.make("digits")
        fault = FAULTS.make("bit_flip")
        identity = f"{dtype}-{'+'.join(methods)}-{t}-{nonfinite}-{targets}-{subset}"
        return Setup(
            setup_id=identity,
            campaign="test",
            model_name=model.label,
            model=model,
            dataset_name=data.label,
            dataset=data,
            dtype=FORMATS.make(dtype),
            stack=stack,
            t=t,
            nonfinite=nonfinite,
            fault_name=fault.label,
            fault=fault,
            targets=targets or Targets(),
            subset=subset,
        )


@pytest.fixture
def make_setup() -> MakeSetup:
    return MakeSetup()


@pytest.fixture
def point() -> type[Point]:
    return Point

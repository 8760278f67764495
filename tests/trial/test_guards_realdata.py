"""Zero-clipping of a CIFAR-10 ResNet-20 under faults, against the published figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.sources import DATASETS, MODELS
from campaign.spec.grid import Point, Setup, Targets
from campaign.trial.evaluate import TestSet
from campaign.trial.run import run_trial
from campaign.trial.setup import Network, prepare

pytestmark = [pytest.mark.realdata, pytest.mark.slow]

PROFILE, JUDGED, SEEDS = 2000, 1000, 6
BIT_ERROR_RATE = 1e-6


class Resnet20:
    """ResNet-20 in Q15.16 with weights and biases of layers exposed, BatchNorm not."""

    def __init__(self, folder: Path) -> None:
        file = str(folder / "weights" / "cifar10_resnet20.safetensors")
        options = {"architecture": "cifar_resnet20", "normalize": "imagenet", "weights": file}
        self.model = MODELS.make("files", options)
        self.network = Network.load(self.model.build(), self.model.state(), torch.device("cpu"))
        self.data = DATASETS.make("files", {"path": str(folder / "cifar10_test.parquet")})
        other = DATASETS.make("files", {"path": str(folder / "cifar10_train15k.parquet")})
        self.judged = self.images(self.data, JUDGED)
        self.profile = self.images(other, PROFILE)

    def images(self, source, count: int) -> TestSet:  # type: ignore[no-untyped-def]
        how = self.model.preprocess
        chosen, device = np.arange(count), torch.device("cpu")
        return TestSet.load(source.images(how), how, chosen=chosen, batch_size=250, device=device)

    def accuracies(self, *stack: tuple[str, dict[str, object]]) -> tuple[float, list[float]]:
        """Without faults, and with those of each seed."""
        fault = FAULTS.make("bit_flip")
        setup = Setup(
            setup_id="resnet20",
            campaign="test",
            model_name="resnet20",
            model=self.model,
            dataset_name="cifar10",
            dataset=self.data,
            dtype=FORMATS.make("q15_16"),
            stack=tuple(METHODS.make(*given) for given in stack),
            t=None,
            nonfinite="propagate",
            fault_name=fault.label,
            fault=fault,
            targets=Targets(kinds=("weights", "biases")),
        )
        prepared = prepare(setup, self.network, self.judged, self.profile)
        points = [Point("trial", BIT_ERROR_RATE, seed) for seed in range(SEEDS)]
        right = [run_trial(prepared, point).counts.n_correct for point in points]
        return prepared.counts.n_correct / JUDGED, [n / JUDGED for n in right]


def test_zero_clipping_at_the_profiled_maximum_saves_resnet20(real_data: Path) -> None:
    """Published, for another checkpoint: 40.02 % unprotected, 92.00 % protected, 92.59 % clean."""
    resnet = Resnet20(real_data)
    clean, unprotected = resnet.accuracies()
    guarded, protected = resnet.accuracies(("ft_clipact", {"threshold": "profiled"}))
    assert clean > 0.9
    assert abs(guarded - clean) < 0.005
    assert np.mean(unprotected) < 0.75
    assert np.mean(protected) > 0.88

"""Trainings under faults: broken off and taken up again, and what they are good for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.sources import DATASETS
from campaign.spec.grid import Point, Setup, Targets
from campaign.training.checkpoint import load
from campaign.training.job import EpochMetrics, FitJob, Materials
from campaign.training.loop import fit
from campaign.trial.evaluate import TestSet
from campaign.trial.run import run_trial
from campaign.trial.setup import Network, prepare
from tests.training.conftest import equal, make_job

RQUANT = FORMATS.make("int8", {"scheme": "robust", "storage": "unsigned"})


class Interrupted(Exception):
    """Ends a training between two epochs."""


@pytest.mark.parametrize(
    "method", [{"randbet": {"w_max": 0.3}}, {"fault_aware": {"ber": [1e-3, 1e-2]}}], ids=str
)
def test_a_training_under_faults_goes_on_with_the_faults_of_an_unbroken_one(
    method: Any, materials: Materials, tmp_path: Path
) -> None:
    job = make_job(method, dtype="int8", epochs=2)

    def report(metrics: EpochMetrics) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        fit(job, tmp_path / "broken", report=report, materials=materials)
    for folder in ("broken", "whole"):
        fit(job, tmp_path / folder, materials=materials)
    broken, whole = (load(tmp_path / folder, job) for folder in ("broken", "whole"))
    assert equal(broken.state, whole.state)
    steps = [metrics.extra["faulty_steps"] for metrics in broken.metrics]
    assert steps == ([5, 6] if "randbet" in method else [6, 6])
    assert [m.extra for m in broken.metrics] == [m.extra for m in whole.metrics]
    assert [m._replace(seconds=0) for m in broken.metrics] == [
        m._replace(seconds=0) for m in whole.metrics
    ]


def accuracies(method: Any, folder: Path, data: TestSet, seeds: range) -> torch.Tensor:
    """Of the digits network, trained for `method`, with 5 % of its bits wrong."""
    recipe: dict[str, Any] = {"epochs": 10, "optimizer": {"sgd": {"lr": 0.02}}, "schedule": "steps"}
    job: FitJob = make_job(method, **recipe)
    job = replace(job, fmt=RQUANT, digest=job.digest[::-1])
    fit(job, folder)
    trained, fault = load(folder, job), FAULTS.make("bit_flip")
    setup = Setup(
        setup_id="s",
        campaign="test",
        model_name="digits_cnn",
        model=job.model,
        dataset_name="digits",
        dataset=DATASETS.make("digits"),
        dtype=RQUANT,
        stack=job.methods,
        t=None,
        nonfinite="zero",
        fault_name="bit_flip",
        fault=fault,
        targets=Targets(kinds=("weights", "biases")),
    )
    device = torch.device("cpu")
    network = Network.load(job.model.build(), trained.state, device, learnt=trained.learnt)
    ready = prepare(setup, network, data)
    right = [run_trial(ready, Point("p", 0.05, seed)).counts.n_correct for seed in seeds]
    return torch.tensor(right, dtype=torch.float64) / len(data)


@pytest.mark.slow
def test_faults_in_training_help_and_clipping_helps_more(tmp_path: Path) -> None:
    """As Stutz et al. say; differences over the same 40 maps, at 6 standard errors."""
    how = make_job("retrained").model.preprocess
    images = DATASETS.make("digits").images(how)
    data = TestSet.load(images, how, chosen=None, batch_size=450, device=torch.device("cpu"))
    faulty = {"p": 0.025, "biases": True}
    methods: list[Any] = [
        "retrained",
        {"randbet": {**faulty, "w_max": None}},
        {"randbet": {**faulty, "w_max": 0.3}},
    ]
    plain, alone, clipped = (accuracies(m, tmp_path, data, range(100, 140)) for m in methods)
    for better, worse in ((alone, plain), (clipped, alone)):
        gain = better - worse
        assert float(gain.mean()) > 6 * float(gain.std()) / len(gain) ** 0.5

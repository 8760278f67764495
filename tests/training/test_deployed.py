"""A trained network in memory answers as it did when training ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from campaign.faults import FAULTS
from campaign.methods import Method, State
from campaign.methods.fitting import Context, Fitting
from campaign.networks.sites import Site, watched
from campaign.sources import DATASETS, MODELS
from campaign.spec.grid import Point, Setup, Targets
from campaign.training.checkpoint import load
from campaign.training.job import FitJob, Materials, Trained
from campaign.training.loop import Training
from campaign.trial.evaluate import TestSet
from campaign.trial.run import run_trial
from campaign.trial.setup import Network, Prepared, prepare
from tests.training.conftest import equal

SAF = "trained_saf"
ALL = Targets(kinds=("weights", "biases"))
LAST = Targets(include=("linear.*",))
CASES: list[tuple[list[Any], str, Targets]] = [
    ([{SAF: {"function": "tanh"}}], "fp32", Targets()),
    ([{SAF: {"function": "arctan", "start": "inverse", "gains": True}}, "secded"], "fp32", ALL),
    ([{SAF: {"function": "softsign", "start": "scratch", "gains": True}}], "fp32", LAST),
    ([{SAF: {"function": "hardtanh"}}, "range_clamp"], "fp32", LAST),
    ([{SAF: {"function": "scaled_tanh", "start": "inverse"}}], "fp32", Targets()),
    ([{SAF: {"function": "scaled_tanh", "a_over_max": 0.7, "quantized": True}}], "q2_5", Targets()),
    ([{SAF: {"quantized": True, "gains": True}}, "parity"], "int8", Targets()),
    ([{"weight_clipping": {"bound": 0.2, "trained": True}}, SAF, "secded"], "fp32", ALL),
    ([{"weight_clipping": {"bound": 0.1, "trained": True}}], "fp32", LAST),
    ([{"randbet": {"p": 0.01, "w_max": 0.3, "biases": True}}, SAF, "parity"], "int8", ALL),
    ([{SAF: {"start": "inverse"}}, {"fault_aware": {"flips": 9}}, "secded"], "q2_5", Targets()),
]
"""Stack, number format and what is exposed. What trains as fp32 is stored so."""


def prepared(
    job: FitJob, stack: Any, targets: Targets, trained: Trained, data: TestSet
) -> Prepared:
    """The trained network, stored."""
    fault, test = FAULTS.make("bit_flip"), DATASETS.make("digits")
    assert job.fmt is not None
    setup = Setup(
        setup_id="deployed",
        campaign="test",
        model_name="digits_cnn",
        model=job.model,
        dataset_name="digits",
        dataset=test,
        dtype=job.fmt,
        stack=stack,
        t=None,
        nonfinite="zero",
        fault_name="bit_flip",
        fault=fault,
        targets=targets,
    )
    network = Network.load(
        job.model.build(), trained.state, torch.device("cpu"), learnt=trained.learnt
    )
    return prepare(setup, network, data)


@pytest.fixture(scope="module")
def data() -> TestSet:
    how = MODELS.make("digits_cnn").preprocess
    images = DATASETS.make("digits").images(how)
    return TestSet.load(images, how, chosen=None, batch_size=200, device=torch.device("cpu"))


@pytest.mark.parametrize(("methods", "dtype", "targets"), CASES, ids=str)
def test_the_deployed_network_answers_as_the_trained_one_to_the_bit(
    methods: list[Any],
    dtype: str,
    targets: Targets,
    make: Any,
    materials: Materials,
    data: TestSet,
    tmp_path: Path,
) -> None:
    job = make.job(*methods, dtype=dtype, epochs=1, optimizer={"sgd": {"lr": 0.05}})
    training = Training(job, materials, torch.device("cpu"))
    training.run(tmp_path, None)
    module = training.module.eval()
    with torch.no_grad():
        expected = torch.cat([module(data.batch(start)) for start in range(0, len(data), 200)])

    trained = load(tmp_path, job)
    ready = prepared(job, make.stack(*methods), targets, trained, data)
    assert torch.equal(ready.fault_free, expected)
    assert trained.status == "finished"
    moved = [
        name for name, value in trained.state.items() if (value != materials.state[name]).any()
    ]
    assert len(moved) == len(trained.state)

    point = Point("p", 1e-3, 3)
    first, again = (run_trial(ready, point).counts for _ in range(2))
    assert first == again
    assert torch.equal(ready.forward.answers(data), expected)


def test_what_is_read_is_tau_of_what_is_stored(
    make: Any, materials: Materials, tmp_path: Path, data: TestSet
) -> None:
    """By numpy, in float64, within a unit in the last place for each rounding."""
    methods = [{SAF: {"function": "scaled_tanh", "gains": True, "a_over_max": 1.3}}]
    job = make.job(*methods, epochs=1, optimizer={"sgd": {"lr": 0.05}})
    Training(job, materials, torch.device("cpu")).run(tmp_path, None)
    trained = load(tmp_path, job)
    ready = prepared(job, make.stack(*methods), Targets(), trained, data)
    (learnt,) = trained.learnt
    for name, stored in ready.stored.items():
        raw = trained.state[name]
        assert stored.fields["payload"].data.numpy().tobytes() == raw.tobytes()
        a = 1.3 * float(np.abs(materials.state[name]).max())
        assert float(learnt[f"{name}/a"]) == pytest.approx(a, rel=1e-15)
        gain = float(learnt[f"{name}/gain"])
        exact = a * np.tanh(raw.astype(np.float64) / a) * gain
        np.testing.assert_allclose(stored.clean.numpy(), exact, rtol=2.0**-23 + 1e-12)
        assert gain != 1
    extreme = ready.stored["linear.weight"]
    state = extreme.states[0]
    read = extreme.stack[0].restore(torch.tensor([torch.inf, -torch.inf]), state)
    bound = float(state["a"]) * float(state["gain"])
    assert read.tolist() == pytest.approx([bound, -bound], rel=1e-6)


@dataclass(frozen=True)
class LearntBounds(Method):
    """Clamp activations to bounds that are trained alone, one for each site."""

    name: ClassVar[str] = "learnt_bounds"

    @property
    def fits(self) -> bool:
        return True

    @property
    def guards(self) -> bool:
        return True

    def fitting(self) -> Fitting:
        return BoundsFitting()

    def guard(self, site: Site, value: torch.Tensor, seen: State) -> torch.Tensor:
        bound = seen.get(site.label)
        return value if bound is None else torch.minimum(value, bound)


class BoundsFitting(Fitting):
    """Starts at the largest values of a sample."""

    def prepare(self, module: torch.nn.Module, context: Context) -> None:
        self.bounds: dict[str, torch.nn.Parameter] = {}
        largest: dict[str, torch.Tensor] = {}

        def look(site: Site, value: torch.Tensor) -> torch.Tensor:
            if site.kind == "activation":
                largest[site.label] = 0.5 * value.max()
            return value

        with watched(module, look), torch.no_grad():
            module(context.sample(100).inputs)
        for place, (label, value) in enumerate(largest.items()):
            self.bounds[label] = torch.nn.Parameter(value)
            module.register_parameter(f"bound{place}", self.bounds[label])

    def trained_parameters(self, module: torch.nn.Module) -> list[torch.nn.Parameter]:
        return list(self.bounds.values())

    def train_mode(self, module: torch.nn.Module) -> None:
        module.eval()

    def guard(self, site: Site, value: torch.Tensor) -> torch.Tensor:
        bound = self.bounds.get(site.label)
        return value if bound is None else torch.minimum(value, bound)

    def finish(self, module: torch.nn.Module, context: Context) -> State:
        return {label: bound.detach() for label, bound in self.bounds.items()}


def test_bounds_of_activations_that_were_learnt_guard_the_deployed_network(
    make: Any, materials: Materials, tmp_path: Path, data: TestSet
) -> None:
    method = LearntBounds()
    job = replace(make.job("retrained", precision="bf16"), methods=(method,), digest="b" * 64)
    training = Training(job, materials, torch.device("cpu"))
    (fitting,) = training.fittings.each
    assert isinstance(fitting, BoundsFitting)
    before = [bound.detach().clone() for bound in fitting.bounds.values()]
    training.run(tmp_path, None)
    trained = load(tmp_path, job)
    (learnt,) = trained.learnt
    assert len(learnt) == 2
    assert all(float(new) != float(old) for new, old in zip(learnt.values(), before, strict=True))
    assert equal(trained.state, materials.state)  # weights were frozen
    ready = prepared(job, (method,), Targets(), trained, data)
    assert all(torch.equal(ready.learnt[0][label], bound) for label, bound in learnt.items())
    module = job.model.build()
    module.load_state_dict({n: torch.tensor(v) for n, v in materials.state.items()})
    with torch.no_grad(), watched(module, lambda s, v: method.guard(s, v, learnt)):
        expected = torch.cat([module(data.batch(start)) for start in range(0, len(data), 200)])
    assert torch.equal(ready.fault_free, expected)
    unguarded = prepared(job, (), Targets(), trained._replace(learnt=()), data)
    assert not torch.equal(unguarded.fault_free, expected)


def test_folding_batchnorm_into_trained_weights_is_refused(make: Any, materials: Materials) -> None:
    job = make.job(SAF)
    with pytest.raises(ValueError, match="folding changes them; leave out fold_batchnorm"):
        Network.load(
            job.model.build(), materials.state, torch.device("cpu"), fold=True, learnt=({},)
        )

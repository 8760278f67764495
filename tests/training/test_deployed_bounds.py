"""Networks trained for bounds and for in-place ECC, as they end in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.methods.throttling import throttled
from campaign.networks.sites import watched
from campaign.sources import DATASETS, MODELS
from campaign.spec.grid import Targets
from campaign.training.checkpoint import load
from campaign.training.job import EpochMetrics, Materials
from campaign.training.loop import Training, fit
from campaign.trial.evaluate import TestSet
from campaign.trial.setup import Prepared
from tests.training.conftest import equal, make_job, make_stack
from tests.training.test_deployed import prepared

CPU = torch.device("cpu")
ADAM = {"optimizer": {"adam": {"lr": 0.01}}}
TRAINED = {"in_place_ecc": {"trained": True}}
NEURONS = 2048 + 1024


@pytest.fixture(scope="module")
def data() -> TestSet:
    how = MODELS.make("digits_cnn").preprocess
    images = DATASETS.make("digits").images(how)
    return TestSet.load(images, how, chosen=None, batch_size=200, device=CPU)


@pytest.mark.parametrize(
    ("method", "bounds"),
    [
        ("fitact", NEURONS),
        ({"fitact": {"per": "layer", "penalty": 1e-3}}, 2),
        ("proact", 1 + 2048),
        ({"diehardnet": {"bound": 1.5}}, 0),
    ],
    ids=str,
)
def test_the_deployed_network_is_cut_as_the_trained_one_to_the_bit(
    method: Any, bounds: int, materials: Materials, data: TestSet, tmp_path: Path
) -> None:
    job = make_job(method, **ADAM)
    training = Training(job, materials, CPU)
    training.run(tmp_path, None)
    module = training.module.eval()
    with torch.no_grad(), watched(module, training.fittings.visit):
        expected = torch.cat([module(data.batch(start)) for start in range(0, len(data), 200)])
    trained = load(tmp_path, job)
    ready = prepared(job, make_stack(method, "secded"), Targets(), trained, data)
    assert torch.equal(ready.fault_free, expected)
    assert ready.constant_bits == 32 * bounds
    assert equal(trained.state, materials.state) == (bounds > 0)
    share = [line for line in trained.warnings if "activations clipped to 1.5" in line]
    assert len(share) == (bounds == 0)
    plain = prepared(job, (), Targets(), trained._replace(learnt=()), data)
    assert not torch.equal(plain.fault_free, expected)


def test_proact_moves_the_last_bounds_first_and_takes_back_what_costs_accuracy(
    materials: Materials, tmp_path: Path
) -> None:
    def bounds_by_epoch(folder: str, rate: float, **options: Any) -> tuple[list[Any], list[float]]:
        optimizer = {"adam": {"lr": rate}}
        training = Training(make_job({"proact": options}, optimizer=optimizer), materials, CPU)
        found, taken = [], []

        def note(metrics: EpochMetrics | None) -> None:
            state = training.module.state_dict()
            found.append([state[f"activation_bound{place}"].clone() for place in (0, 1)])
            taken.append(metrics.extra["bounds_taken_back"] if metrics else 0.0)

        note(None)
        training.run(tmp_path / folder, note)
        return found, taken

    (start, middle, end), _ = bounds_by_epoch("mild", 0.01, penalty=1e-3)
    assert torch.equal(middle[0], start[0])
    assert not torch.equal(middle[1], start[1])
    assert torch.equal(end[1], middle[1])
    assert not torch.equal(end[0], middle[0])

    (start, *later), taken = bounds_by_epoch("harsh", 1.0, penalty=1e6, largest_drop=0.0)
    assert taken == [0.0, 1.0, 1.0]
    assert all(torch.equal(a, b) for each in later for a, b in zip(each, start, strict=True))


class Interrupted(Exception):
    """Stands for a kill after an epoch is safe."""


@pytest.mark.parametrize("method", ["proact", TRAINED], ids=str)
def test_a_training_that_was_broken_off_ends_with_the_same_bits(
    method: Any, materials: Materials, tmp_path: Path
) -> None:
    job = make_job(method, dtype="int8", epochs=3, **ADAM)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    fit(job, whole, materials=materials)

    def stop(metrics: EpochMetrics) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        fit(job, killed, report=stop, materials=materials)
    fit(job, killed, materials=materials)
    first, second = load(whole, job), load(killed, job)
    assert equal(first.state, second.state)
    for a, b in zip(first.learnt, second.learnt, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in {*a, *b})


def violations(stored: Prepared) -> int:
    """Blocks of 8 codes with one beyond -64..63 before the eighth, by numpy."""
    found = 0
    for held in stored.stored.values():
        codes = held.fields["payload"].data.numpy().reshape(-1).view(np.int8).astype(int)
        first = codes[: len(codes) // 8 * 8].reshape(-1, 8)[:, :7]
        found += int(((first < -64) | (first > 63)).any(1).sum())
    return found


@pytest.mark.parametrize("stack", [[TRAINED], [TRAINED, {"weight_clipping": {"trained": True}}]])
def test_after_training_in_place_ecc_saturates_nothing(
    stack: list[Any], materials: Materials, data: TestSet, tmp_path: Path
) -> None:
    job = make_job(*stack, dtype="int8", optimizer={"sgd": {"lr": 0.05}})
    training = Training(job, materials, CPU)
    training.run(tmp_path, None)
    trained = load(tmp_path, job)
    module = training.module.eval()
    with torch.no_grad():
        expected = torch.cat([module(data.batch(start)) for start in range(0, len(data), 200)])
    bare = trained._replace(learnt=())
    without = prepared(job, (), Targets(), bare, data)
    untouched = bare._replace(state=materials.state)
    assert violations(without) == 0
    assert violations(prepared(job, (), Targets(), untouched, data)) > 100
    protected = prepared(job, make_stack(*stack), Targets(), trained, data)
    assert torch.equal(protected.fault_free, without.fault_free)
    assert torch.equal(protected.fault_free, expected)
    assert protected.check_bits == 0
    assert any("of all weights made smaller" in line for line in trained.warnings)
    assert not equal(trained.state, materials.state)


def shrunk(weight: np.ndarray) -> np.ndarray:
    """Move what int8 would saturate, by a loop; the scale is the largest magnitude over 127."""
    weight = weight.copy()
    while True:
        scale, moved = np.float32(np.abs(weight).max() / 127), False
        for place in range(len(weight) // 8 * 8):
            code = int(np.rint(weight[place] / scale))
            if place % 8 != 7 and not -64 <= code <= 63:
                weight[place], moved = np.float32(max(-64, min(63, code)) * scale), True
        if not moved:
            return weight


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_weights_are_moved_until_they_fit_the_scale_that_they_have(scale: float) -> None:
    weight = torch.randn(101, generator=torch.Generator().manual_seed(1)) * 0.1
    weight[7:96:8] /= scale  # where large codes may stand
    adapt, fmt = METHODS.make("in_place_ecc").adapt, FORMATS.make("int8")
    weight[96:] /= scale
    found = throttled(weight, fmt, adapt)
    np.testing.assert_allclose(found.weight.numpy(), shrunk(weight.numpy()), rtol=1e-6)
    assert found.moved == int((found.weight != weight).sum()) > 10
    assert throttled(found.weight, fmt, adapt).moved == 0
    settings = [("q2_5", {}), ("mxint8", {}), ("int8", {"per": "channel"})]
    for name, options in [*settings, ("int8", {"scheme": "asymmetric"})]:
        fmt = FORMATS.make(name, options)
        moved = throttled(20 * weight, fmt, adapt).weight
        words = fmt.encode(moved, fmt.calibrate(moved))
        assert torch.equal(adapt(words).data, words.data)
    weight[7:96:8] = weight[96:] = 0
    with pytest.raises(ValueError, match="leave out trained"):
        throttled(weight, FORMATS.make("int8"), adapt)
    with pytest.raises(ValueError, match="needs trained: true"):
        METHODS.make("in_place_ecc", {"recipe": "long"})

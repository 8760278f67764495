"""A worker that takes fault-free answers over gives, to the bit, the rows of one that does not."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from campaign.networks.stages import same_bits
from campaign.records import TrialRecord
from campaign.sources import DATASETS, MODELS
from campaign.spec.grid import Point, Setup
from campaign.trial.answers import Answers, Flat
from campaign.trial.evaluate import TestSet
from campaign.trial.setup import Network, prepare
from campaign.trial.worker import TrialWork, TrialWorker, data_asset

POINTS = [Point("a", 0.0, 0), *(Point(f"b{n}", 1e-3, n) for n in range(6))]
POINTS += [Point(f"c{n}", 1e-5, n) for n in range(12)]
"""Many flips hit the first layer; of few ones, trials start from kept activations."""
CHANGING = ("seconds", "finished_at")


@pytest.fixture(scope="module")
def assets() -> dict[str, object]:
    model = MODELS.make("digits_cnn")
    images = DATASETS.make("digits").images(model.preprocess)
    return {"model:digits_cnn": model.state(), data_asset(model.preprocess): images}


def opened(assets: dict[str, object], **options: Any) -> TrialWorker:
    return TrialWork("0", **options).open(assets.__getitem__)


def rows(worker: TrialWorker, setup: Setup) -> list[TrialRecord]:
    found = list(worker.trials(setup, POINTS, 1))
    return [replace(row, **dict.fromkeys(CHANGING, 0.0)) for row in found]


def sent(answers: Answers | None) -> Answers:
    """As they arrive in another process: arrays that cannot be written to."""
    assert answers is not None
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(answers, protocol=5, buffer_callback=buffers.append)
    held: Answers = pickle.loads(content, buffers=[bytes(part.raw()) for part in buffers])
    assert not held.fault_free.values.flags.writeable
    return held


@pytest.mark.parametrize("dtype", ["fp32", "int8", "q2_5"])
@pytest.mark.parametrize("batch_size", [100, "auto"])
def test_rows_are_those_of_a_worker_on_its_own(
    dtype: str,
    batch_size: Any,
    assets: dict[str, object],
    make_setup: Callable[..., Setup],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = make_setup(dtype)
    first = opened(assets, batch_size=batch_size)
    wanted = rows(first, setup)
    handed = sent(first.share(setup.setup_id))
    assert handed.held  # trials start from activations, which travel too
    second = opened({**assets, setup.answers_asset: handed}, batch_size=batch_size)
    monkeypatch.setattr("campaign.trial.prefix.PrefixCache.filled", None)  # it need not be called
    assert rows(second, setup) == wanted
    assert {row.status for row in wanted} == {"ok"}


@pytest.mark.parametrize(
    "loss", [KeyError, None, "batch_size", "fault_free", "activations", "stage", "batches", "mode"]
)
def test_what_does_not_fit_is_computed_anew(
    loss: Any, assets: dict[str, object], make_setup: Callable[..., Setup]
) -> None:
    setup = make_setup("fp32")
    first = opened(assets, batch_size=100)
    list(first.trials(setup, POINTS[:1], 1))
    handed = sent(first.share(setup.setup_id))
    if loss == "fault_free":
        wrong = handed.fault_free.values.copy()
        wrong.reshape(-1)[-1] += 1  # of the last image
        handed = replace(handed, fault_free=handed.fault_free._replace(values=wrong))
    assert handed.held
    if loss == "activations":  # of the last batch, as another machine may compute them
        changed = {
            place: (*flats[:-1], flats[-1]._replace(values=-flats[-1].values))
            for place, flats in handed.held.items()
        }
        handed = replace(handed, held=changed)
    if loss == "stage":  # a network that is cut elsewhere
        handed = replace(handed, held={place + 1: f for place, f in handed.held.items()})
    if loss == "batches":
        handed = replace(handed, held={place: f[:-1] for place, f in handed.held.items()})
    options: dict[str, Any] = {"batch_size": 50 if loss == "batch_size" else 100}
    options["mode"] = "reference" if loss == "mode" else "fast"
    given: dict[str, object] = {setup.answers_asset: None if loss is None else handed}
    held = {**assets, **({} if loss is KeyError else given)}
    assert rows(opened(held, **options), setup) == rows(opened(assets, **options), setup)


def test_only_the_setup_at_hand_is_handed_on(
    assets: dict[str, object], make_setup: Callable[..., Setup]
) -> None:
    setup, worker = make_setup("fp32"), opened(assets)
    assert worker.share(setup.setup_id) is None
    rows(worker, setup)
    assert worker.share("another") is None
    assert worker.share(setup.setup_id) is not None
    plain = opened(assets, mode="reference")
    rows(plain, setup)
    assert plain.share(setup.setup_id) is None


def test_answers_of_other_weights_are_refused(
    network: Network, digits: TestSet, make_setup: Callable[..., Setup]
) -> None:
    one, other = make_setup("fp32"), make_setup("q2_5")
    handed = Answers.of(prepare(one, network, digits).prefix, "here")
    found = prepare(other, network, digits, answers=handed)
    assert same_bits(found.fault_free, prepare(other, network, digits).fault_free)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(24.0).reshape(2, 3, 4),
        torch.arange(96.0).reshape(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        torch.arange(24.0).reshape(4, 6).T,
        torch.arange(24.0).reshape(4, 6)[1:3],
    ],
    ids=["plain", "channels_last", "transposed", "part"],
)
def test_a_tensor_arrives_with_its_bits_and_strides(tensor: torch.Tensor) -> None:
    arrived = Flat.of(tensor).on(torch.device("cpu"))
    assert same_bits(arrived, tensor)
    assert arrived.stride() == tensor.stride()


def test_what_is_handed_on_of_a_tensor_is_not_copied() -> None:
    tensor = torch.arange(24.0)
    assert np.shares_memory(Flat.of(tensor).values, tensor.numpy())

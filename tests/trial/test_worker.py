"""The worker: records from points, failures as rows, equal rows for any chunking."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from campaign.faults import FAULTS
from campaign.records import COLUMNS, RESULT_COLUMNS, Failure
from campaign.sources import DATASETS, MODELS
from campaign.spec.grid import Point, Setup, Targets
from campaign.trial.ahead import DrawsAhead
from campaign.trial.failures import first_line
from campaign.trial.worker import TrialWork, data_asset, model_asset


@pytest.fixture(scope="module")
def assets() -> dict[str, object]:
    model = MODELS.make("digits_cnn")
    return {
        "model:digits_cnn": model.state(),
        data_asset(model.preprocess): DATASETS.make("digits").images(model.preprocess),
    }


def points(setup: Setup, bers: list[float], seeds: int) -> list[Point]:
    return [Point(f"{setup.setup_id}-{b!r}-{s}", b, s) for b in bers for s in range(seeds)]


WORK = TrialWork(code_version="test", batch_size=200, use_gpu=False)


def test_a_record_says_everything_about_its_trial(make_setup, assets) -> None:
    setup = make_setup("fp16", "weight_scaling", "parity", t=256.0)
    assert model_asset(setup) in assets
    worker = WORK.open(assets.__getitem__)
    (record,) = worker.trials(setup, [Point("id", 1e-3, 4)], attempt=2)
    row = record.to_row()
    assert tuple(row) == COLUMNS
    lacking = {name for name, value in row.items() if value is None}
    assert lacking == {
        "error",
        "error_type",
        "n_fault_free",
        "flipped_worst",
        "exposed_worst",
        "train_seed",
    }
    words = record.stored_bits // 16
    assert record.check_bits == words
    assert record.exposed_bits == 17 * words
    assert (record.dtype, record.method, record.t) == ("fp16", "weight_scaling+parity", 256.0)
    assert (record.trial_id, record.ber, record.seed, record.attempt) == ("id", 1e-3, 4, 2)
    assert (record.device, record.status) == ("cpu", "ok")


def test_folding_batchnorm_is_another_network_of_the_same_model(make_setup, assets) -> None:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10)
        )

    class Source(type(MODELS.make("digits_cnn"))):  # type: ignore[misc]
        def build(self) -> nn.Module:
            return build().eval()

    state = {name: value.numpy() for name, value in build().state_dict().items()}
    worker = WORK.open({**assets, "model:digits_cnn": state}.__getitem__)
    kinds = Targets(kinds=("weights", "biases", "norms"))
    plain = replace(make_setup(targets=kinds), model=Source())
    folded = replace(plain, setup_id="folded", fold_batchnorm=True)
    bits = []
    for setup in (plain, folded, plain):
        (record,) = worker.trials(setup, points(setup, [0.0], 1), 1)
        assert record.status == "ok", record.error
        bits.append(record.stored_bits)
    words = 36 + 4 + 1440 + 10
    assert bits == [32 * (words + 8), 32 * words, 32 * (words + 8)]


def test_rows_do_not_depend_on_how_points_are_batched(make_setup, assets) -> None:
    setups = [make_setup("fp32"), make_setup("q2_5", "saf")]
    wanted = [(s, p) for s in setups for p in points(s, [1e-4, 1e-3], 3)]

    def rows(order: list[tuple[Setup, Point]]) -> dict[str, tuple[object, ...]]:
        worker = WORK.open(assets.__getitem__)
        found = [next(worker.trials(s, [p], 1)).to_row() for s, p in order]
        return {row["trial_id"]: tuple(row[c] for c in RESULT_COLUMNS) for row in found}

    assert rows(wanted) == rows(wanted[::2] + wanted[1::2][::-1])


def test_a_setup_that_cannot_be_prepared_gives_a_row_for_each_point(make_setup, assets) -> None:
    setup = make_setup(targets=Targets(include=("nothing",)))
    found = list(WORK.open(assets.__getitem__).trials(setup, points(setup, [1e-3], 3), 1))
    assert [record.status for record in found] == ["error"] * 3
    assert {record.error_type for record in found} == {"ValueError"}
    assert "no parameter of digits_cnn is exposed" in (found[0].error or "")
    assert found[0].n_correct is None
    assert {record.device for record in found} == {"cpu"}


def test_a_failing_setup_does_not_harm_the_next(make_setup, assets) -> None:
    worker = WORK.open(assets.__getitem__)
    bad = make_setup(targets=Targets(include=("nothing",)))
    list(worker.trials(bad, points(bad, [1e-3], 1), 1))
    good = make_setup()
    (record,) = worker.trials(good, points(good, [0.0], 1), 1)
    assert record.status == "ok"


def test_a_missing_asset_is_a_row_too(make_setup) -> None:
    setup = make_setup()
    (record,) = WORK.open({}.__getitem__).trials(setup, points(setup, [1e-3], 1), 1)
    assert (record.status, record.error_type) == ("error", "KeyError")


def test_a_subset_is_evaluated_on_that_many_images(make_setup, assets) -> None:
    setup = make_setup(subset=100)
    (record,) = WORK.open(assets.__getitem__).trials(setup, points(setup, [0.0], 1), 1)
    assert record.n_samples == 100


def test_the_record_of_a_trial_that_never_returned_is_complete(make_setup) -> None:
    failure = Failure("crashed", "ActorDiedError", "worker died\nstack", attempt=3, seconds=1.5)
    record = WORK.failed(make_setup(), Point("id", 1e-3, 4), failure)
    assert (record.status, record.error, record.attempt) == ("crashed", "worker died", 3)
    assert record.n_samples is None


def test_work_and_setups_travel_to_workers(make_setup) -> None:
    setup = make_setup("int8", "range_clamp")
    assert pickle.loads(pickle.dumps((WORK, setup))) == (WORK, setup)


def test_the_first_line_of_an_error_is_one_that_says_something() -> None:
    assert first_line("\n\n  what \n more") == "what"
    assert first_line("") == ""
    assert len(first_line("x" * 9999)) == 500


def test_batch_size_is_recorded_and_does_not_move_counts(make_setup, assets) -> None:
    setup = make_setup()
    small = replace(WORK, batch_size=37)
    (a,) = WORK.open(assets.__getitem__).trials(setup, points(setup, [1e-3], 1), 1)
    (b,) = small.open(assets.__getitem__).trials(setup, points(setup, [1e-3], 1), 1)
    assert "batch=200" in a.compute
    assert "batch=37" in b.compute
    assert (a.n_correct, a.flips_digest) == (b.n_correct, b.flips_digest)


@pytest.mark.parametrize("methods", [(), ("secded",)])
def test_flips_drawn_ahead_are_those_of_the_trials(make_setup, assets, methods) -> None:
    setups = [make_setup("fp32", *methods), make_setup("fp16", *methods)]
    ahead, alone = WORK.open(assets.__getitem__), WORK.open(assets.__getitem__)
    assert alone.ahead is None
    ahead.ahead = Counting()
    kept = [name for name in RESULT_COLUMNS if name != "seconds"]
    for setup in setups:
        asked = points(setup, [0.0, 1e-5, 1e-3], 3)
        rows = [
            [record.to_row() for record in worker.trials(setup, asked, 1)]
            for worker in (ahead, alone)
        ]
        assert [[r[name] for name in kept] for r in rows[0]] == [
            [r[name] for name in kept] for r in rows[1]
        ]
    assert ahead.ahead.taken == 2 * (9 - 1)
    assert replace(WORK, threads=2).open(assets.__getitem__).ahead is not None
    torch.set_num_threads(1)


class Counting(DrawsAhead):
    """How many trials found their flips drawn."""

    taken = 0

    def flips(self, *asked: Any) -> Any:
        found = super().flips(*asked)
        self.taken += found is not None
        return found


def test_what_raises_ahead_fails_the_trial_that_it_belongs_to(make_setup, assets) -> None:
    setup = replace(make_setup("fp32"), fault=FAULTS.make("exact_flips", {"count": 10**9}))
    worker = WORK.open(assets.__getitem__)
    worker.ahead = DrawsAhead()
    asked = [Point("clean", 0.0, 0), Point("first", 1e-3, 0), Point("next", 1e-3, 1)]
    rows = [record.to_row() for record in worker.trials(setup, asked, 1)]
    assert [row["status"] for row in rows] == ["ok", "error", "error"]
    assert all("10000000" in row["error"] for row in rows[1:])

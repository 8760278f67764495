"""Setups that differ in what flips share what is stored, and give the rows that they give alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from campaign.faults import FAULTS
from campaign.records import RESULT_COLUMNS
from campaign.sources import DATASETS, MODELS
from campaign.spec.grid import Point, Profile, Setup, Targets
from campaign.trial import worker as workers
from campaign.trial.setup import Network, prepare
from campaign.trial.sharing import restated
from campaign.trial.worker import TrialWork, data_asset

WORK = TrialWork(code_version="test", batch_size=300, use_gpu=False)


@pytest.fixture(scope="module")
def assets() -> dict[str, object]:
    model = MODELS.make("digits_cnn")
    images = DATASETS.make("digits").images(model.preprocess)
    return {"model:digits_cnn": model.state(), data_asset(model.preprocess): images}


def variants(setup: Setup) -> dict[str, Setup]:
    """Setups of one storage."""
    exact, burst = FAULTS.make("exact_flips", {"count": 40}), FAULTS.make("burst", {"length": 3})
    made = {
        "plain": setup,
        "bit": replace(setup, targets=Targets(only_bits=(6,))),
        "other bit": replace(setup, targets=Targets(only_bits=("sign",))),
        "exempt": replace(setup, targets=Targets(exempt_bits=(7, "checks"))),
        "exact": replace(setup, fault=exact, fault_name=exact.label),
        "burst": replace(setup, fault=burst, fault_name=burst.label),
        "transient": replace(setup, lifetime=100, fault_name="bit_flip every 100 images"),
    }
    return {name: replace(held, setup_id=name) for name, held in made.items()}


def rows(setups: list[Setup], assets: dict[str, object], *, alone: bool) -> list[dict[str, object]]:
    """The results of some trials of each setup, by one worker or by one for each."""
    one, found = WORK.open(assets.__getitem__), []
    for setup in setups:
        worker = WORK.open(assets.__getitem__) if alone else one
        points = [
            Point(f"{setup.setup_id}-{b}-{s}", b, s) for b in (0.0, 1e-3, 0.02) for s in (0, 1)
        ]
        found += [record.to_row() for record in worker.trials(setup, points, 1)]
    kept = ("trial_id", *RESULT_COLUMNS)
    return [{key: row[key] for key in kept} for row in found]


@pytest.mark.parametrize("methods", [(), ("secded",)], ids=["bare", "secded"])
def test_a_shared_setup_gives_the_rows_of_one_of_its_own(
    make_setup: Callable[..., Setup],
    assets: dict[str, object],
    methods: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setups = list(variants(make_setup("int8", *methods)).values())
    apart = rows(setups, assets, alone=True)
    prepared = []

    def counting(setup: Setup, *args: object, **options: object) -> object:
        prepared.append(setup.setup_id)
        return prepare(setup, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(workers, "prepare", counting)
    together = rows(setups, assets, alone=False)
    assert prepared == ["plain"]
    assert together == apart
    assert {row["status"] for row in apart} == {"ok"}
    flips = {row["trial_id"]: row["flips_digest"] for row in apart if "-0.02-1" in row["trial_id"]}
    assert len(set(flips.values())) == len(setups)


def test_what_is_stored_or_learnt_otherwise_is_not_shared(
    make_setup: Callable[..., Setup], network: Network, digits
) -> None:
    setup = make_setup("int8")
    prepared = prepare(setup, network, digits)
    others = {
        "layer": replace(setup, targets=Targets(include=("conv1.*",))),
        "kinds": replace(setup, targets=Targets(kinds=("biases",))),
        "dtype": make_setup("fp16"),
        "stack": make_setup("int8", "parity"),
        "policy": make_setup("int8", nonfinite="propagate"),
        "subset": replace(setup, subset=100),
        "held out": replace(setup, profile=Profile(50)),
        "attack": replace(
            setup, fault=FAULTS.make("bit_flip_attack", {"count": 3}), profile=Profile(50)
        ),
        "activations": replace(setup, targets=Targets(activations=True)),
    }
    shared = {name for name, other in others.items() if restated(prepared, other) is not None}
    assert shared == set()
    assert restated(prepared, replace(setup, setup_id="x")) is not None
    assert restated(replace(prepared, reference=True), setup) is None
    learning = make_setup("int8", "ft_clipact")
    assert restated(replace(prepared, setup=learning), learning) is None

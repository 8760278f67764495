"""What workers share: digests of what is read, state dicts, test sets, recorded faults."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from campaign.errors import SetupError
from campaign.faults import FaultModel
from campaign.sources import DatasetSource, Images, ModelSource
from campaign.sources.cache import file_digest
from campaign.sources.columns import read_columns
from campaign.spec.expand import SetupGrid
from campaign.spec.grid import Setup, SetupPoints
from campaign.spec.identity import Digests
from campaign.trial.keys import data_asset, fault_asset, model_asset, profile_asset

Note = Callable[[str], None]


def digests_of(grids: Sequence[SetupGrid], note: Note) -> Digests:
    """Digests of everything the grid reads; may download a checkpoint or train the digits model.

    Raises:
        SetupError: If a file is missing or cannot be read.
    """
    models: dict[str, ModelSource] = {g.setup.model_name: g.setup.model for g in grids}
    dataset: DatasetSource = grids[0].setup.dataset
    found = {}
    for name, model in models.items():
        note(f"reading {name}")
        found[name] = model.digest()
    note(f"reading {grids[0].setup.dataset_name}")
    recorded = next((g.setup.fault.reads for g in grids if g.setup.fault.reads is not None), None)
    advice = "set the fault model's file"
    fault = None if recorded is None else file_digest(Path(recorded), advice)
    learnt_from = _profile_digest(grids, note)
    return Digests(found, dataset.digest(), fault, learnt_from, _training_digest(grids, note))


def _training_digest(grids: Sequence[SetupGrid], note: Note) -> str | None:
    """Of the images that networks are trained on, None where none is."""
    training = next((grid.setup.training for grid in grids if grid.setup.training), None)
    if training is None:
        return None
    note(f"reading {training.dataset_name}")
    return training.dataset.digest()


def _profile_digest(grids: Sequence[SetupGrid], note: Note) -> str | None:
    profile = grids[0].setup.profile
    if profile is None or profile.dataset is None:
        return None
    if all(grid.setup.needs_profile is None for grid in grids):
        return None
    note(f"reading {profile.dataset_name}")
    return profile.dataset.digest()


def load_assets(tasks: Sequence[SetupPoints], note: Note) -> dict[str, object]:
    """State dicts and test sets that the tasks need, by the keys that workers ask for.

    Raises:
        SetupError: If a file is missing or cannot be read.
    """
    assets: dict[str, object] = {}
    for setup in (task.setup for task in tasks):
        if setup.training is None and model_asset(setup) not in assets:
            note(f"loading {setup.model_name}")
            assets[model_asset(setup)] = setup.model.state()
        key = data_asset(setup.model.preprocess)
        if key not in assets:
            note(f"loading {setup.dataset_name}")
            assets[key] = setup.dataset.images(setup.model.preprocess)
        profile, split = setup.profile, profile_asset(setup.model.preprocess)
        if profile is not None and profile.dataset is not None and setup.needs_profile:
            if split not in assets:
                note(f"loading {profile.dataset_name}")
                assets[split] = profile.dataset.images(setup.model.preprocess)
                _refuse_shared(assets[key], assets[split], setup)
        if setup.fault.reads is not None and fault_asset(setup) not in assets:
            note(f"loading {setup.fault_name}")
            assets[fault_asset(setup)] = _loaded(setup.fault, Path(setup.fault.reads))
    return assets


def _refuse_shared(test: object, profile: object, setup: Setup) -> None:
    """Refuse a profile split that has images of the test set: bounds learnt there would flatter."""
    assert isinstance(test, Images)
    assert isinstance(profile, Images)
    held = {hashlib.sha256(image.tobytes()).digest() for image in test.pixels}
    shared = sum(hashlib.sha256(image.tobytes()).digest() in held for image in profile.pixels)
    if shared and setup.profile is not None:
        raise SetupError(
            f"profile.dataset: {shared} images of {setup.profile.dataset_name} are in "
            f"{setup.dataset_name} too; name another split, or hold images out of the test set "
            "with profile: {images: ...} alone"
        )


def _loaded(fault: FaultModel, path: Path) -> FaultModel:
    try:
        return fault.loaded(read_columns(path))
    except ValueError as error:
        raise SetupError(f"{path}: {error}") from None

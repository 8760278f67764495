"""Trainings of the digits network, of a second or less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from campaign.formats import FORMATS
from campaign.methods import METHODS, Method
from campaign.sources import DATASETS, MODELS
from campaign.training import FitJob, Recipe, fit_digest, trained_part
from campaign.training.job import Materials
from campaign.training.loop import read_materials

QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 64, "validation_images": 100}


def make_stack(*methods: str | dict[str, dict[str, Any]]) -> tuple[Method, ...]:
    """A stack as a spec says it."""
    pairs = [(m, {}) if isinstance(m, str) else next(iter(m.items())) for m in methods]
    return tuple(METHODS.make(name, options) for name, options in pairs)


def make_job(
    *methods: str | dict[str, dict[str, Any]],
    dtype: str = "fp32",
    seed: int = 0,
    workers: int = 1,
    **recipe: Any,
) -> FitJob:
    """A training of the digits network for the trained methods of a stack."""
    model, data = MODELS.make("digits_cnn"), DATASETS.make("digits", {"split": "train"})
    said, fitted = Recipe.model_validate(QUICK | recipe), trained_part(make_stack(*methods))
    fmt = FORMATS.make(dtype)
    digest = fit_digest(
        model=model.digest(),
        dataset=data.digest(),
        recipe=said,
        methods=fitted,
        fmt=fmt,
        seed=seed,
        workers=workers,
    )
    return FitJob(model, data, said, fitted, fmt, seed, digest, workers)


class Make:
    """What the tests of this folder make."""

    job = staticmethod(make_job)
    stack = staticmethod(make_stack)


@pytest.fixture
def make() -> type[Make]:
    return Make


def few_images() -> Materials:
    """The weights of the digits network and the first 500 images."""
    state, images = read_materials(make_job("retrained"))
    return Materials(state, images._replace(pixels=images.pixels[:500], labels=images.labels[:500]))


@pytest.fixture(scope="session")
def materials() -> Materials:
    return few_images()


def equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two state dicts of numpy arrays are the same to the bit."""
    return set(a) == set(b) and all(a[k].tobytes() == b[k].tobytes() for k in a)

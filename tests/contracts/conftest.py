"""Everything the registries hold, as arguments of the contract tests.

A test that takes ``fmt``, ``method``, ``fault`` or ``attack`` runs for every number format, method,
fault model that draws bits or that looks at the network, each with every single option changed;
``component`` is any of them, ``pair`` every stack of two methods, ``registered`` every class of
every registry; ``guarding`` and ``guarding_pair`` are those methods and stacks that stand at the
sites of a forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from pydantic import TypeAdapter

from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.methods.base import stack_label
from campaign.registry import OptionError, Registry, describe, options_of
from campaign.sources import DATASETS, MODELS

MEMBERS = {
    "int{bits}": ("int4", "int16"),
    "q{m}_{n}": ("q0_7", "q3_12", "q15_16"),
    "mx{element}": ("mxfp8_e5m2", "mxfp6_e3m2", "mxfp6_e2m3", "mxfp4", "mxint8"),
}
"""Members of families to try beside the class's own ``example``."""

SETTINGS: dict[str, tuple[dict[str, object], ...]] = {
    "bit_flip_attack": ({"count": 3}, {"count": 2, "candidates": 2, "images": 20}),
    "sign_attack": (
        {"count": 3},
        {"count": 3, "passes": 1},
        {"count": 2, "one_per_kernel": False},
    ),
    "int{bits}": (
        {"scheme": "robust", "storage": "unsigned"},
        {"scheme": "robust", "storage": "unsigned", "per": "channel"},
        {"scheme": "asymmetric", "storage": "unsigned", "per": "group", "group_size": 5},
        {"scheme": "robust", "per": "group", "group_size": 7, "rounding": "truncate"},
    ),
    "selective_words": ({"share": 0.3}, {"share": 1.0, "by": "gradient", "copies": 5}),
    "bch": ({"errors": 3}, {"errors": 6, "data_bits": 512}),
    "range_clamp": (
        {"percentile": 80.0, "out_of_range": "zero"},
        {"percentile": 80.0, "per": "row"},
    ),
}
"""Options to try together, beside every single change of one."""


def spoken(cls: type[Any]) -> tuple[str, ...]:
    """The names by which a spec can call `cls`: its own, or members of its family."""
    example = getattr(cls, "example", None)
    return (cls.name,) if example is None else (example, *MEMBERS.get(cls.name, ()))


def single_changes(cls: type[Any]) -> Iterator[dict[str, object]]:
    """No option, then each option of few values set to each value that is not its default.

    And what `SETTINGS` asks for.
    """
    yield {}
    yield from SETTINGS.get(cls.name, ())
    properties = TypeAdapter(cls).json_schema().get("properties", {})
    for option in options_of(cls):
        schema = properties[option]
        values = [False, True] if schema.get("type") == "boolean" else schema.get("enum", [])
        yield from ({option: value} for value in values if value != schema.get("default"))


def every(registry: Registry[Any]) -> list[Any]:
    """One pytest parameter for each class, family member and single change of an option."""
    found = []
    for cls in registry:
        for name, options in product(spoken(cls), single_changes(cls)):
            try:
                value = registry.make(name, options)
            except OptionError:
                continue  # an option that needs another one
            found.append(pytest.param(value, id=describe(name, options)))
    return found


def faults(*, attacking: bool) -> list[Any]:
    """Fault models that look at the network, or those that do not."""
    return [held for held in every(FAULTS) if held.values[0].attacks is attacking]


def pairs() -> list[Any]:
    """Every ordered pair of methods with their default options."""
    methods = [METHODS.make(name) for name in METHODS.names()]
    return [pytest.param(pair, id=stack_label(pair)) for pair in product(methods, repeat=2)]


def guarding_pairs() -> list[Any]:
    """Every ordered pair of methods that guard; thresholds are taken as profiled, not sought."""
    options = {"ft_clipact": {"threshold": "profiled"}}
    methods = [METHODS.make(name, options.get(name, {})) for name in METHODS.names()]
    guarding = [method for method in methods if method.guards]
    return [pytest.param(pair, id=stack_label(pair)) for pair in product(guarding, repeat=2)]


def classes() -> list[Any]:
    """Every class of every registry, with its registry."""
    registries: tuple[Registry[Any], ...] = (FORMATS, METHODS, FAULTS, MODELS, DATASETS)
    return [
        pytest.param((registry, cls), id=f"{registry.kind}-{cls.name}")
        for registry in registries
        for cls in registry
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the tests of this folder what the registries hold."""
    found: dict[str, Callable[[], list[Any]]] = {
        "fmt": lambda: every(FORMATS),
        "method": lambda: every(METHODS),
        "fault": lambda: faults(attacking=False),
        "attack": lambda: faults(attacking=True),
        "component": lambda: [*every(FORMATS), *every(METHODS), *every(FAULTS)],
        "pair": pairs,
        "guarding": lambda: [p for p in every(METHODS) if p.values[0].guards],
        "guarding_pair": guarding_pairs,
        "registered": classes,
    }
    for argument in set(found) & set(metafunc.fixturenames):
        metafunc.parametrize(argument, found[argument]())

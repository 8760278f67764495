"""What decides a result, hashed: the ids of setups and trials, and what a results folder is for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from campaign import SEMANTICS
from campaign.faults import FaultModel
from campaign.methods import Method
from campaign.registry import changed_options
from campaign.spec.expand import SetupGrid
from campaign.spec.grid import Setup
from campaign.spec.trained import with_digest

VARIED = ("fault", "targets", "lifetime")
"""What a grid may vary although it is one value for most campaigns."""
SEVERAL = "any of"
NAMED = {"models": "model", "recipes": "recipe", "trained_on": "training"}
"""Sections of an identity that hold things by name, and what one of these is called."""


@dataclass(frozen=True)
class Digests:
    """Content digests (sha256, hex) of what a campaign reads.

    Args:
        models: By the model's name in rows.
        dataset: Of the images and labels.
        fault: Of the file that the fault model reads, None where it reads none.
        profile: Of the dataset that the profile split is from, None where it has none of its own.
        training: Of the images that networks are trained on, None where none is.
    """

    models: Mapping[str, str]
    dataset: str
    fault: str | None = None
    profile: str | None = None
    training: str | None = None


def setup_identity(setup: Setup, digests: Digests) -> dict[str, Any]:
    """Everything but BER and seed that decides a result; defaults are dropped."""
    return {
        "semantics": SEMANTICS,
        "model": setup.model_name,
        "checkpoint": digests.models[setup.model_name],
        "preprocess": changed_options(setup.model.preprocess),
        "dataset": setup.dataset_name,
        "data": digests.dataset,
        "dtype": setup.dtype.label,
        "method": [component(method) for method in setup.stack],
        "nonfinite": setup.nonfinite,
        "fault": component(setup.fault),
        "targets": changed_options(setup.targets),
        **({} if setup.t is None else {"t": setup.t}),
        **({} if setup.fault.reads is None else {"fault_file": digests.fault}),
        **({} if setup.subset is None else {"subset": setup.subset}),
        **({} if setup.lifetime is None else {"lifetime": setup.lifetime}),
        **({"fold_batchnorm": True} if setup.fold_batchnorm else {}),
        **({} if setup.compute == "fp32" else {"compute": setup.compute}),
        **({"images": "a sample for each seed"} if setup.sampled else {}),
        **_profile(setup, digests),
        **({} if setup.training is None else {"training": setup.training.identity}),
    }


def _profile(setup: Setup, digests: Digests) -> dict[str, Any]:
    """The profile split, where it decides a result: it is learnt from, or missing in the test."""
    profile = setup.profile
    if profile is None:
        return {}
    if profile.dataset is None:
        return {"held_out": profile.images}
    if setup.needs_profile is None:
        return {}
    return {"profile": {"data": digests.profile, "images": profile.images}}


def component(value: Method | FaultModel) -> dict[str, Any]:
    """A method or fault model as its name and the options that are not defaults.

    `t` stands apart: it is a coordinate of the grid. So does the file that a fault model reads: its
    content decides, wherever it lies.
    """
    path = value.reads if isinstance(value, FaultModel) else None
    options = {
        k: v for k, v in changed_options(value).items() if k != "t" and (path is None or v != path)
    }
    return {"name": value.name, **({"options": options} if options else {})}


def canonical(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text.

    Example:
        >>> canonical({"b": 1.0, "a": [2]})
        '{"a":[2],"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def setup_id(setup: Setup, digests: Digests) -> str:
    """The first 16 hex digits of the sha256 of the identity."""
    text = canonical(setup_identity(setup, digests))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def identify(grids: Iterable[SetupGrid], digests: Digests) -> list[SetupGrid]:
    """The same setups with their ids."""
    found = []
    for grid in grids:
        checkpoint = digests.models[grid.setup.model_name]
        setup = with_digest(grid.setup, model=checkpoint, dataset=digests.training or "")
        named = dataclasses.replace(setup, setup_id=setup_id(setup, digests))
        found.append(dataclasses.replace(grid, setup=named))
    return found


def campaign_identity(grids: Iterable[SetupGrid], digests: Digests) -> dict[str, Any]:
    """What all rows of a results folder have in common, and each model's content.

    A later run may add values to the axes; it may not change any of this.
    """
    listed = list(grids)
    shared = setup_identity(listed[0].setup, digests)
    keys = ("semantics", "dataset", "data", "subset")
    rare = ("fold_batchnorm", "compute", "images", "held_out")
    models = {
        grid.setup.model_name: {
            "checkpoint": digests.models[grid.setup.model_name],
            "preprocess": changed_options(grid.setup.model.preprocess),
        }
        for grid in listed
    }
    recorded = {key: shared[key] for key in rare if key in shared}
    recorded |= {} if digests.fault is None else {"fault_file": digests.fault}
    return {
        **{key: shared.get(key) for key in keys},
        **recorded,
        **_varied(listed),
        **_recipes(listed, digests),
        "models": models,
    }


def _recipes(grids: Iterable[SetupGrid], digests: Digests) -> dict[str, Any]:
    """What networks are trained on, and each recipe's content; nothing where none is trained."""
    held = [grid.setup.training for grid in grids if grid.setup.training is not None]
    if not held:
        return {}
    return {
        "recipes": {
            each.recipe_name or "in place": {"digest": each.recipe.digest} for each in held
        },
        "trained_on": {"images": {"digest": digests.training}},
    }


def _varied(grids: Iterable[SetupGrid]) -> dict[str, Any]:
    """What a grid may vary: the one value, or all of them in order."""
    found: dict[str, list[Any]] = {"fault": [], "targets": [], "lifetime": []}
    for setup in {
        (g.setup.fault, g.setup.targets, g.setup.lifetime): g.setup for g in grids
    }.values():
        values = (component(setup.fault), changed_options(setup.targets), setup.lifetime)
        for held, value in zip(found.values(), values, strict=True):
            held += [] if value in held else [value]
    return _written(found)


def _written(found: Mapping[str, list[Any]]) -> dict[str, Any]:
    """A lone value as it is, several as a mapping; a lifetime for ever alone goes unsaid."""
    return {
        key: values[0] if len(values) == 1 else {SEVERAL: values}
        for key, values in found.items()
        if key != "lifetime" or values != [None]
    }


def _values(identity: Mapping[str, Any], key: str) -> list[Any]:
    """The values of a key that a grid may vary, as they are read back."""
    held = _plain(identity.get(key))
    return list(held[SEVERAL]) if isinstance(held, dict) and SEVERAL in held else [held]


def widened(held: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """`held` with what is named and the values of axes that `new` adds, where nothing drifts."""
    values = {key: _values(held, key) for key in VARIED}
    for key, known in values.items():
        known += [value for value in _values(new, key) if value not in known]
    named = {
        key: {**held.get(key, {}), **new.get(key, {})} for key in NAMED if key in {*held, *new}
    }
    kept = {key: value for key, value in held.items() if key not in VARIED}
    file = {"fault_file": new["fault_file"]} if "fault_file" in new else {}
    return dict(_plain({**kept, **file, **_written(values), **named}))


def drift(held: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line for each identity that differs; models and recipes are compared where both are.

    Example:
        >>> drift({"fault": "bit_flip", "models": {}}, {"fault": "burst", "models": {}})
        ['fault: the results have bit_flip, the spec asks for burst']
    """
    lines = [
        f"{key}: the results have {_short(held.get(key))}, the spec asks for {_short(new.get(key))}"
        for key in sorted({*held, *new} - set(NAMED))
        if _differs(held, new, key)
    ]
    for section, kind in NAMED.items():
        lines += _drift_of_parts(kind, held.get(section, {}), new.get(section, {}))
    return lines


def _drift_of_parts(kind: str, held: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The lines of what is named: compared where both have it."""
    lines = []
    for name in sorted(set(held) & set(new)):
        old, now = held[name], new[name]
        lines += [
            f"{kind} {name}, {key}: the results have {_short(old.get(key))}, "
            f"the spec asks for {_short(now.get(key))}"
            for key in sorted({*old, *now})
            if _plain(old.get(key)) != _plain(now.get(key))
        ]
    return lines


def _differs(held: Mapping[str, Any], new: Mapping[str, Any], key: str) -> bool:
    """Whether rows of both have nothing in common here; values of an axis may come and go."""
    if key in VARIED:
        return all(value not in _values(held, key) for value in _values(new, key))
    if key == "fault_file" and not (key in held and key in new):
        return not _several_faults(held, new)
    return bool(_plain(held.get(key)) != _plain(new.get(key)))


def _several_faults(*identities: Mapping[str, Any]) -> bool:
    return any(len(_values(identity, "fault")) > 1 for identity in identities)


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON holds
    return json.loads(json.dumps(value))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value) if value else "the default"
    hexadecimal = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return f"{text[:12]}..." if hexadecimal else text

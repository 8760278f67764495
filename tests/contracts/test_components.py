"""What holds for every class that a name in a spec can mean."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import re
from typing import Any

import pytest
import yaml

from campaign.faults import FAULTS, FaultModel
from campaign.formats import FORMATS, NumberFormat
from campaign.methods import METHODS, Method
from campaign.registry import OptionError, Registry, changed_options, options_of

Component = NumberFormat | Method | FaultModel
Registered = tuple[Registry[Any], type[Any]]


def home(component: Component) -> Registry[Any]:
    """The registry that holds the class of `component`."""
    if isinstance(component, NumberFormat):
        return FORMATS
    return METHODS if isinstance(component, Method) else FAULTS


def spoken(component: Component) -> tuple[str, dict[str, object]]:
    """The name and the options by which a spec asks for `component`."""
    options = {
        k: v for k, v in changed_options(component).items() if k in options_of(type(component))
    }
    return component.label.partition("(")[0], options


def test_a_value_pickles(component: Component) -> None:
    copy = pickle.loads(pickle.dumps(component))
    assert copy == component
    assert copy.label == component.label


def test_a_value_survives_the_way_through_yaml(component: Component) -> None:
    name, options = spoken(component)
    ((read_name, read_options),) = yaml.safe_load(yaml.safe_dump({name: options})).items()
    assert home(component).make(read_name, read_options) == component


def test_a_label_names_every_option_that_is_not_a_default(component: Component) -> None:
    name, options = spoken(component)
    stated = ", ".join(f"{key}={value}" for key, value in options.items())
    assert component.label == (f"{name}({stated})" if stated else name)


def test_a_value_is_frozen_and_can_be_a_key(component: Component) -> None:
    assert {component: 1}[pickle.loads(pickle.dumps(component))] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        component.anything = 1  # type: ignore[union-attr]


def test_an_option_that_the_class_does_not_know_is_refused(component: Component) -> None:
    name, options = spoken(component)
    with pytest.raises(OptionError, match="nonsense: unknown key 'nonsense'"):
        home(component).make(name, {**options, "nonsense": 1})


def test_a_wrong_value_of_any_option_is_refused(component: Component) -> None:
    name, options = spoken(component)
    for option in options_of(type(component)):
        with pytest.raises(OptionError, match=rf"^{option}: got "):
            home(component).make(name, {**options, option: {"no": "mapping"}})


def test_a_class_says_where_it_comes_from(component: Component) -> None:
    text = inspect.getdoc(type(component)) or ""
    assert re.search(r"\bSource: \S", text)
    if isinstance(component, Method):
        assert re.search(r"\bCost: \S", text)


def test_a_class_is_a_frozen_dataclass_with_a_docstring(registered: Registered) -> None:
    _, cls = registered
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__doc__" in vars(cls)
    assert not str(cls.__doc__).startswith(f"{cls.__name__}(")  # what dataclasses writes


def test_every_option_is_described(registered: Registered) -> None:
    _, cls = registered
    _, _, arguments = (inspect.getdoc(cls) or "").partition("Args:")
    described = re.findall(r"^ +(\w+): \S", arguments, re.MULTILINE)
    assert [f.name for f in dataclasses.fields(cls) if f.name not in described] == []


def test_a_class_lives_in_a_module_of_its_registry_and_is_listed(registered: Registered) -> None:
    registry, cls = registered
    assert cls.name in registry.names()
    example = getattr(cls, "example", None)
    if example is not None:
        assert registry.find(example)[0] is cls

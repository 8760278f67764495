"""A valid spec is read in every short form, quickly, and later faults find their place in it."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from campaign.spec.axes import logspace
from campaign.spec.document import parse
from campaign.spec.load import Loaded, load
from campaign.spec.template import template

Read = Callable[..., Loaded]
HEAVY = ("torch", "torchvision", "ray", "mlflow", "pyarrow", "pandas", "sklearn", "PIL", "scipy")
SHIPPED = sorted((Path(__file__).parents[2] / "specs").glob("*.yaml"))


def labels(choices: Any) -> list[str]:
    return [choice.value.label for choice in choices]


def test_the_smallest_spec_has_the_documented_defaults(read: Read) -> None:
    spec = read({}).spec
    assert labels(spec.models) == ["digits_cnn"]
    assert labels([spec.dataset, spec.fault]) == ["digits", "bit_flip"]
    assert labels(spec.grid.dtype) == ["fp32"]
    assert [labels(stack) for stack in spec.grid.method] == [["none"]]
    assert spec.grid.ber == [1e-6]
    assert spec.grid.seeds == range(50)
    assert spec.grid.nonfinite == ["propagate"]
    assert spec.grid.clean is True
    assert spec.targets.weights is True
    assert spec.targets.biases is False


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1e-6", [1e-6]),
        ("1.0e-6", [1e-6]),
        ("'1e-6'", [1e-6]),
        ("1E-6", [1e-6]),
        (".5", [0.5]),
        ("0", [0.0]),
        ("[1e-6, 1.e-5, 0.001]", [1e-6, 1e-5, 1e-3]),
        ("\n    - 1e-6\n    - 1e-5", [1e-6, 1e-5]),
        ("{logspace: [1e-6, 1e-3]}", [1e-6, 1e-5, 1e-4, 1e-3]),
        ("{logspace: ['1e-6', 1e-5], per_decade: 2}", [1e-6, 3.16228e-6, 1e-5]),
    ],
)
def test_every_form_of_ber_gives_its_numbers(read: Read, text: str, values: list[float]) -> None:
    assert read({"1e-6": text}).spec.grid.ber == values


def test_plain_values_have_the_types_of_yaml_1_2() -> None:
    text = "[1, -7, 1_000, 0x1F, 1e-6, 1E3, 1., .5, -1.5e+3, .inf, 010, 1:30, 2020-01-01, =, 1e, ~]"
    node, problems = parse(text, "x", {})
    assert problems == []
    assert node is not None
    numbers = [1, -7, 1000, 31, 1e-6, 1e3, 1.0, 0.5, -1.5e3, math.inf]
    values = [*numbers, 10.0, "1:30", "2020-01-01", "=", "1e", None]
    assert [(type(value), value) for value in node.plain()] == [
        (type(value), value) for value in values
    ]


def test_a_decade_grid_ends_where_it_should() -> None:
    assert logspace(1e-9, 1e-3, 2)[-1] == 1e-3
    assert len(logspace(1e-9, 1e-3, 2)) == 13
    assert logspace(1e-6, 5e-5, 1) == [1e-6, 1e-5]
    assert logspace(2e-6, 2e-4, 1) == [2e-6, 2e-5, 2e-4]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("3", range(3)),
        ("'3'", range(3)),
        ("[7]", (7,)),
        ("[5, 3]", (5, 3)),
        ("{start: 100, count: 2}", range(100, 102)),
        ("1_000", range(1000)),
    ],
)
def test_every_form_of_seeds_gives_its_seeds(read: Read, text: str, seeds: object) -> None:
    assert read({"1e-6": f"1e-6\n  seeds: {text}"}).spec.grid.seeds == seeds


@pytest.mark.parametrize(
    ("text", "t"),
    [
        ("2", {"*": [2.0]}),
        ("2^10", {"*": [1024.0]}),
        ("[1, 2^120, max]", {"*": [1.0, 2.0**120, "max"]}),
        ("{fp32: max, '*': [1, 1e1]}", {"fp32": ["max"], "*": [1.0, 10.0]}),
    ],
)
def test_every_form_of_t_gives_its_values(read: Read, text: str, t: object) -> None:
    spec = read({"method: none": "method: weight_scaling", "1e-6": f"1e-6\n  t: {text}"}).spec
    assert spec.grid.t == t


@pytest.mark.parametrize(
    ("text", "stacks"),
    [
        ("parity", [["parity"]]),
        ("[none, parity]", [["none"], ["parity"]]),
        ("{range_clamp: {per: row}}", [["range_clamp(per=row)"]]),
        (
            "\n    - range_clamp:\n        per: row\n    - parity:",
            [["range_clamp(per=row)"], ["parity"]],
        ),
        ("[[range_clamp, parity], none]", [["range_clamp", "parity"], ["none"]]),
        ("[[parity, {range_clamp: {per: row}}]]", [["parity", "range_clamp(per=row)"]]),
    ],
)
def test_every_form_of_a_stack_gives_its_methods(
    read: Read, text: str, stacks: list[list[str]]
) -> None:
    spec = read({"method: none": f"method: {text}"}).spec
    assert [labels(stack) for stack in spec.grid.method] == stacks


def test_a_model_can_have_a_title(read: Read) -> None:
    spec = read({"models: digits_cnn": "models: [digits_cnn, {digits_cnn: {}, name: again}]"}).spec
    assert [choice.title for choice in spec.models] == [None, "again"]


def test_one_rule_stands_for_a_list_of_one(read: Read) -> None:
    grid = read(
        {"fp32": "[fp32, fp16]", "1e-6": "1e-6\n  exclude: {dtype: fp16, ber: 1e-6, seed: 3}"}
    ).spec.grid
    assert [(rule.dtype, rule.ber, rule.seed) for rule in grid.exclude] == [
        (["fp16"], [1e-6], (3,))
    ]


def test_later_faults_are_told_at_the_place_in_the_file(read: Read) -> None:
    loaded = read({"models: digits_cnn": "models:\n  - digits_cnn: {}\n    name: a"})
    assert loaded.line(("models", 0), "no weights") == "x.yaml:3:5: models[0]: no weights"
    assert loaded.line(("fault",), "bad") == "x.yaml:1:1: fault: bad"
    assert (loaded.path, loaded.raw["dataset"]) == ("x.yaml", "digits")


FULL = """\
name: full
models: [digits_cnn, {digits_cnn: {}, name: again}]
dataset: digits
grid:
  dtype: [fp32, {int8: {per: channel}}, q2_5]
  method: [none, weight_scaling, [range_clamp, parity], {saf: {function: softsign}}]
  ber: {logspace: [1e-6, 1e-3], per_decade: 2}
  seeds: [5, 9]
  t: {fp32: [max, 2^100], '*': 2}
  nonfinite: [zero, clamp]
  clean: no
  exclude:
    - {dtype: int8*, method: weight_scaling}
    - {method: none, ber: 1e-6, seed: 5, t: null}
  include:
    - {dtype: fp16, method: parity, seeds: {start: 3, count: 4}, ber: 0.5}
targets: {exempt_bits: [0, sign], include: conv*}
engine: {executor: inline, workers: 3}
evaluation: {subset: 100}
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_spec_is_valid(path: Path) -> None:
    assert load(path, environment={}).spec.name
    assert path.read_text("utf-8").startswith(
        "# yaml-language-server: $schema=campaign.schema.json"
    )


def test_the_template_is_valid_and_names_the_schema(read: Read) -> None:
    assert read(template()).spec.name == "digits"
    assert template().startswith("# yaml-language-server: $schema=campaign.schema.json\n")


def test_reading_a_spec_imports_nothing_heavy(read: Read) -> None:
    read(FULL)
    code = (
        "import sys; from campaign.spec.load import load; load('x.yaml'); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
